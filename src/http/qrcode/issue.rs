//! Issues a code, unless it would be a new permanent one for a text that is probably a mistake.

use wechat::scene::{CodeSpec, SceneValue};

use crate::access::Caller;
use crate::codes::{self, Codes, Issued};
use crate::form::{escaped, mangled};
use crate::http::extract::query::KNOWN;
use crate::http::i18n::message::Message;
use crate::http::problem::Problem;

/// What is probably wrong with a new permanent code.
struct Mistake {
    parameter: &'static str,
    message: Message,
}

/// Issues the code by [`Codes::issue`]. A new permanent code whose text is probably a mistake is
/// refused, because it would be another channel permanently; an existing one is answered.
///
/// # Errors
/// `invalid_parameter` for such a text; else as [`Codes::issue`].
pub(crate) async fn issue(
    codes: &Codes,
    spec: &CodeSpec,
    caller: &Caller,
) -> Result<Issued, Problem> {
    issue_unless(codes, spec, caller, mistake_in(spec)).await
}

/// Issues a code that is given these names, by the parameters of each.
///
/// # Errors
/// `invalid_parameter` also for such a name of a new permanent code.
pub(crate) async fn issue_named(
    codes: &Codes,
    spec: &CodeSpec,
    caller: &Caller,
    names: impl Iterator<Item = (&'static str, &str)>,
) -> Result<Issued, Problem> {
    let mistake = mistake_in(spec).or_else(|| mistake_in_names(spec, names));
    issue_unless(codes, spec, caller, mistake).await
}

/// Why a new permanent code with these names would be refused, by the parameters of each.
pub(crate) fn refusal_of_new<'a>(
    spec: &CodeSpec,
    names: impl Iterator<Item = (&'static str, &'a str)>,
) -> Option<Problem> {
    let mistake = mistake_in(spec).or_else(|| mistake_in_names(spec, names))?;
    Some(Problem::invalid_parameter(
        mistake.parameter,
        mistake.message,
    ))
}

async fn issue_unless(
    codes: &Codes,
    spec: &CodeSpec,
    caller: &Caller,
    mistake: Option<Mistake>,
) -> Result<Issued, Problem> {
    let Some(Mistake { parameter, message }) = mistake else {
        return Ok(codes.issue(spec, caller).await?);
    };
    // A caller without a key gets permanent codes that exist, and no new ones.
    let without_key = Caller {
        key: None,
        ..caller.clone()
    };
    match codes.issue(spec, &without_key).await {
        Err(codes::Error::MintNotAllowed(_)) => Err(Problem::invalid_parameter(parameter, message)),
        result => Ok(result?),
    }
}

/// What is probably wrong with the text of a permanent code, if anything.
fn mistake_in(spec: &CodeSpec) -> Option<Mistake> {
    let scene = spec.scene();
    let SceneValue::Text(text) = scene.value() else {
        return None;
    };
    if spec.lifetime().is_some() {
        return None;
    }
    let parameter = "scene_str";
    if is_padded(text) {
        let message = Message::new(
            "开头或末尾有空格或看不见的字符，会成为另一个渠道；请去掉（已有的二维码不受影响）",
            "begins or ends with a space or an invisible character, which makes it another channel; remove it (a code that exists is still answered)",
        );
        return Some(Mistake { parameter, message });
    }
    let link = format!("scene_str={}", escaped(text));
    let hidden = mangled::find(&link, KNOWN)?;
    let message = Message::new(
        format!("含有参数 {}，像是链接的一部分；请去掉", hidden.name),
        format!(
            "has the parameter {} in it, as if it were a part of a link; remove it",
            hidden.name
        ),
    );
    Some(Mistake { parameter, message })
}

/// The first name of a permanent code that is probably wrong.
fn mistake_in_names<'a>(
    spec: &CodeSpec,
    mut names: impl Iterator<Item = (&'static str, &'a str)>,
) -> Option<Mistake> {
    if spec.lifetime().is_some() {
        return None;
    }
    let (parameter, _) = names.find(|(_, name)| is_padded(name))?;
    let message = Message::new(
        "开头或末尾有空格或看不见的字符；请去掉（已有的二维码不受影响）",
        "begins or ends with a space or an invisible character; remove it (a code that exists may keep it)",
    );
    Some(Mistake { parameter, message })
}

fn is_padded(text: &str) -> bool {
    text.starts_with(is_blank) || text.ends_with(is_blank)
}

/// White space, an invisible character, or one whose glyph is blank. What ends many emoji, some
/// flags, and Chinese and Mongolian letters of a particular form is neither: variation selectors
/// and tags.
fn is_blank(letter: char) -> bool {
    // The empty Braille pattern, the object replacement character and annotation marks, a note head
    // of music, the Khitan filler.
    const BLANKS: [char; 7] = [
        '\u{2800}',
        '\u{fff9}',
        '\u{fffa}',
        '\u{fffb}',
        '\u{fffc}',
        '\u{1d159}',
        '\u{16fe4}',
    ];
    let is_selector = matches!(
        letter,
        '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
    );
    letter.is_whitespace()
        || BLANKS.contains(&letter)
        || mangled::is_invisible(letter) && !is_selector
}
