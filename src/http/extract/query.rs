//! The query of `/qrcode`, parsed strictly: no misspelt, repeated or hidden parameter is ignored.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::LazyLock;

use qr_image::{Colors, Margin, PixelSize, Rgb, Style};
use wechat::scene::{CodeSpec, Lifetime};

use crate::access::LinkExpiry;
use crate::form::{self, mangled};
use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::Format;
use crate::http::problem::Problem;
use crate::http::scene_params::SceneParams;

/// The known parameters. Each may be given once.
pub(crate) const KNOWN: &[&str] = &[
    "scene_id",
    "scene_str",
    "permanent",
    "expire_seconds",
    "format",
    "fragment",
    "size",
    "margin",
    "color",
    "bg",
    "lang",
    "exp",
    "sig",
];

/// Modules on a side of the symbol of WeChat's urls. All that are known have 43 or 45 bytes; from
/// 43 to 62 bytes it is this size at the error correction used here (ISO/IEC 18004, table 7).
pub(crate) const WECHAT_SYMBOL: usize = 33;

/// Names that can only be meant for a known parameter, besides those that differ by a letter or
/// two, by case or by separators. Common words such as `id`, `ttl` or `background` are not here:
/// WeChat and campaigns add parameters of their own, which are ignored.
const NEAR_MISSES: &[(&str, &str)] = &[
    ("scene", "scene_id or scene_str"),
    ("expire", "expire_seconds"),
    ("expires", "expire_seconds"),
    ("expire_in", "expire_seconds"),
    ("expires_in", "expire_seconds"),
    ("expire_time", "expire_seconds"),
    ("expire_sec", "expire_seconds"),
    ("expire_secs", "expire_seconds"),
    ("expires_sec", "expire_seconds"),
    ("expires_secs", "expire_seconds"),
    ("is_permanent", "permanent"),
    ("permanent_code", "permanent"),
    // WeChat's own word for it.
    ("action_name", "permanent"),
    ("sence_id", "scene_id"),
    ("scene_string", "scene_str"),
    ("scene_text", "scene_str"),
    ("colour", "color"),
];

/// The names that are checked for mangling.
static KNOWN_AND_NEAR_MISSES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let near_misses = NEAR_MISSES.iter().map(|&(name, _)| name);
    KNOWN.iter().copied().chain(near_misses).collect()
});

/// The known parameters of a query, decoded; their values are parsed by each method.
#[derive(Debug, Clone, Default)]
pub(crate) struct QrcodeQuery {
    pairs: Vec<(String, String)>,
}

impl QrcodeQuery {
    /// Decodes a form-encoded query.
    ///
    /// # Errors
    /// When it is not UTF-8, or repeats, misspells or hides a known parameter.
    pub(crate) fn parse(raw: &str) -> Result<Self, Problem> {
        refuse_mangled(raw, &KNOWN_AND_NEAR_MISSES)?;
        let mut query = Self::default();
        for (name, value) in form::pieces(raw) {
            let name = form_decoded(name, "query")?;
            if KNOWN.contains(&name.as_str()) {
                let value = form_decoded(value, &name)?;
                query.add(name, value)?;
            } else if let Some(meant) = near_miss(&name, value) {
                let message = Message::new(
                    format!("不是本服务的参数，是否想写 {meant}？"),
                    format!("is not a parameter of this service; did you mean {meant}?"),
                );
                return Err(Problem::invalid_parameter(&name, message));
            }
        }
        Ok(query)
    }

    /// A query of parameters that are decoded and checked already.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Problem> {
        if self.get(&name).is_some() {
            return Err(Problem::invalid_parameter(&name, given_twice()));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// Removes pairs with an empty value, as a form sends fields that were left blank. The form has
    /// no field for `exp` and `sig`.
    pub(crate) fn without_blanks(mut self) -> Self {
        let of_link = |name: &str| matches!(name, "exp" | "sig");
        self.pairs
            .retain(|(name, value)| !value.is_empty() || of_link(name));
        self
    }

    pub(crate) fn without(mut self, unwanted: &str) -> Self {
        self.pairs.retain(|(name, _)| name != unwanted);
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// All known parameters, decoded.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameters that decide the code and its picture, in the order in which they came.
    pub(crate) fn picture_link_pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        const NOT_PASSED_ON: &[&str] = &["format", "fragment", "lang"];
        self.pairs()
            .filter(|(name, _)| !NOT_PASSED_ON.contains(name))
    }

    /// Parses one parameter's value; none if it is not given.
    fn parsed<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Into<Message>>,
    {
        self.get(name).map(|text| parsed(name, text)).transpose()
    }

    /// The representation, if given by name.
    pub(crate) fn format(&self) -> Result<Option<Format>, Problem> {
        self.parsed("format")
    }

    /// The language, if given.
    pub(crate) fn lang(&self) -> Result<Option<Lang>, Problem> {
        self.parsed("lang")
    }

    /// Whether only the image element is asked for.
    pub(crate) fn fragment(&self) -> Result<bool, Problem> {
        match self.get("fragment") {
            None => Ok(false),
            Some("1") => Ok(true),
            Some(_) => {
                let message = Message::new("只能是 1，或不给出", "must be 1 or absent");
                Err(Problem::invalid_parameter("fragment", message))
            }
        }
    }

    /// When the signed link ends, if ever.
    pub(crate) fn exp(&self) -> Result<Option<LinkExpiry>, Problem> {
        self.parsed("exp")
    }

    /// The code that is asked for.
    pub(crate) fn code_spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        Ok(SceneParams::of(self.pairs()).spec(default_expire)?)
    }

    /// The style of a picture drawn here. A size that does not fit WeChat's code is refused before
    /// the code is minted.
    pub(crate) fn style(&self) -> Result<Style, Problem> {
        let size: Option<PixelSize> = self.parsed("size")?;
        let margin: Option<Margin> = self.parsed("margin")?;
        let color: Option<Rgb> = self.parsed("color")?;
        let background: Option<Rgb> = self.parsed("bg")?;
        let colors = Colors::new(
            color.unwrap_or(Rgb::BLACK),
            background.unwrap_or(Rgb::WHITE),
        );
        let unfit = |error| match color {
            Some(_) => Problem::invalid_parameter("color", error),
            None => Problem::invalid_parameter("bg", Message::of_background(error)),
        };
        let style = Style {
            size: size.unwrap_or_default(),
            margin: margin.unwrap_or_default(),
            colors: colors.map_err(unfit)?,
        };
        style
            .pixels_per_module(WECHAT_SYMBOL)
            .map_err(|error| Problem::invalid_parameter("size", error))?;
        Ok(style)
    }
}

/// Parses a parameter's value.
///
/// # Errors
/// `invalid_parameter`.
pub(crate) fn parsed<T>(name: &str, text: &str) -> Result<T, Problem>
where
    T: FromStr<Err: Into<Message>>,
{
    text.parse()
        .map_err(|error| Problem::invalid_parameter(name, error))
}

/// Decodes a query in which each parameter may be given once. The caller checks whether each name
/// is one of `known`.
///
/// # Errors
/// When it is not UTF-8, repeats a parameter, or hides one of `known`.
pub(crate) fn form_pairs(raw: &str, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    form_pairs_with_lists(raw, known, &[])
}

/// Like [`form_pairs`], where the parameters of `lists` may be given many times.
///
/// # Errors
/// As there.
pub(crate) fn form_pairs_with_lists(
    raw: &str,
    known: &[&str],
    lists: &[&str],
) -> Result<Vec<(String, String)>, Problem> {
    refuse_mangled(raw, known)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in form::pieces(raw) {
        let name = form_decoded(name, "query")?;
        let is_list = lists.contains(&name.as_str());
        if !is_list && pairs.iter().any(|(given, _)| *given == name) {
            return Err(Problem::invalid_parameter(&name, given_twice()));
        }
        let value = form_decoded(value, &name)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Refuses a query that holds a known parameter in a form in which it would be ignored.
///
/// # Errors
/// `invalid_parameter`, which says what was sent for what.
pub(crate) fn refuse_mangled(raw: &str, known: &[&str]) -> Result<(), Problem> {
    let Some(found) = mangled::find(raw, known) else {
        return Ok(());
    };
    let message = match found.mangling {
        mangled::Mangling::Separator { sent, meant } => Message::new(
            format!("未被读取：链接中的“{meant}”变成了“{sent}”，请使用未经改动的原始链接"),
            format!(
                "cannot be read: \"{sent}\" was sent instead of \"{meant}\"; use the original link, with & between name=value pairs"
            ),
        ),
        mangled::Mangling::Name(sent) => Message::new(
            format!("未被读取：参数名变成了“{sent}”，请使用未经改动的原始链接"),
            format!("cannot be read: its name was sent as \"{sent}\"; use the original link"),
        ),
    };
    Err(Problem::invalid_parameter(found.name, message))
}

/// Decodes one name or value.
fn form_decoded(piece: &str, name: &str) -> Result<String, Problem> {
    let decoded = form::decoded(piece).map(Cow::into_owned);
    decoded.map_err(|_| Problem::invalid_parameter(name, not_utf_8()))
}

fn not_utf_8() -> Message {
    Message::new(
        "须为 UTF-8，并经百分号编码",
        "must be UTF-8, percent-encoded",
    )
}

pub(crate) fn given_twice() -> Message {
    Message::new("只能出现一次", "must be given once only")
}

/// The known parameter that an unknown name stands for: a typo of it, a listed word, or the
/// parameter with another sign than `=` before its value.
fn near_miss(name: &str, value: &str) -> Option<&'static str> {
    // Behind what is left of an entity, as in `amp;expire`.
    let word = name.rsplit([';', '&', '?']).next().unwrap_or_default();
    let written = plain(word);
    let is_typo = |known: &&&str| is_close(&written, &plain(known));
    let with_value = || {
        let is_sign = |letter: char| !letter.is_alphanumeric() && letter != '_';
        name.rmatch_indices(is_sign)
            .find_map(|(at, _)| listed(&plain(&name[..at])))
    };
    listed(&written)
        .or_else(|| KNOWN.iter().find(is_typo).copied())
        .or_else(|| value.is_empty().then(with_value).flatten())
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-'], "")
}

/// The parameter with a plain name, or the one that a listed word stands for.
fn listed(written: &str) -> Option<&'static str> {
    let known = KNOWN.iter().map(|&known| (known, known));
    known
        .chain(NEAR_MISSES.iter().copied())
        .find(|(word, _)| plain(word) == written)
        .map(|(_, meant)| meant)
}

/// Whether a plain name is a typo of a known one, by its length. Short words have too many
/// neighbours: `rang` might be `lang`.
fn is_close(written: &str, known: &str) -> bool {
    let max_distance: usize = match known.len() {
        0..6 => return false,
        6 | 7 => 1,
        8.. => 2,
    };
    written.len().abs_diff(known.len()) <= max_distance
        && strsim::osa_distance(written, known) <= max_distance
}

#[cfg(test)]
mod tests;
