//! A code for a wish from outside, which may be a slip: asked for by every handler in the same way.

use super::AppState;
use super::message::Message;
use super::problem::Problem;
use crate::access::Caller;
use crate::codes::{self, Served};
use crate::scene::{CodeSpec, SceneValue};

/// The code for a wish, see [`codes::Codes::issue`]. A new permanent code whose text has white space at an end is refused,
/// because it would be another channel for ever; one that exists is answered as any other.
///
/// # Errors
/// `invalid_parameter` for such a text; else as [`codes::Codes::issue`].
pub(crate) async fn issue(
    app: &AppState,
    spec: &CodeSpec,
    caller: &Caller,
) -> Result<Served, Problem> {
    if !has_blank_end(spec) {
        return Ok(app.codes.issue(spec, caller).await?);
    }
    // Without a key nobody has a permanent code minted.
    let without_key = Caller {
        key: None,
        ..caller.clone()
    };
    match app.codes.issue(spec, &without_key).await {
        Err(codes::Error::MintNotAllowed(_)) => Err(blank_end()),
        result => Ok(result?),
    }
}

fn has_blank_end(spec: &CodeSpec) -> bool {
    /// They are no white space to Unicode, and seen even less.
    const ZERO_WIDTH: [char; 3] = ['\u{200b}', '\u{2060}', '\u{feff}'];
    let is_blank = |letter: char| letter.is_whitespace() || ZERO_WIDTH.contains(&letter);
    let scene = spec.scene();
    let SceneValue::Text(text) = scene.value() else {
        return false;
    };
    spec.lifetime().is_none() && (text.starts_with(is_blank) || text.ends_with(is_blank))
}

fn blank_end() -> Problem {
    let message = Message::new(
        "开头或末尾有空格，会成为另一个渠道；请去掉空格（已有的二维码不受影响）",
        "begins or ends with a space, which makes it another channel; remove the space (a code that exists is still answered)",
    );
    Problem::invalid_parameter("scene_str", message)
}
