//! The query of `/qrcode`: read once, strictly, into values that cannot be wrong.

use std::sync::LazyLock;

use qr_image::{Colors, Margin, PixelSize, Rgb, Style};

use crate::access::Expiry;
use crate::form::{self, disguise};
use crate::http::extract::scene_params::{UncheckedSpec, parsed};
use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::Format;
use crate::http::problem::Problem;
use crate::scene::{CodeSpec, Lifetime};

/// The parameters that are ours. Each may be given once.
pub(crate) const OURS: &[&str] = &[
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

/// Modules on a side of the symbol of WeChat's urls. All that are known have 43 or 45 bytes; from 43 to 62 it is that many
/// at the error correction that we draw with (ISO/IEC 18004, table 7).
const WECHAT_SYMBOL: usize = 33;

/// Words that can only be meant for one of ours, besides those that differ by a letter, by case or by separators. Words of
/// everyday such as `id`, `ttl` or `background` are not here: WeChat and campaigns add what they like, and that is ignored.
const NEAR_MISSES: &[(&str, &str)] = &[
    ("scene", "scene_id or scene_str"),
    ("expire", "expire_seconds"),
    ("expires", "expire_seconds"),
    ("expire_in", "expire_seconds"),
    ("expires_in", "expire_seconds"),
    ("expire_time", "expire_seconds"),
    ("colour", "color"),
];

/// What is looked for in disguise.
static OURS_AND_NEAR_MISSES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let near_misses = NEAR_MISSES.iter().map(|&(name, _)| name);
    OURS.iter().copied().chain(near_misses).collect()
});

/// A query, decoded but not yet understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a form-encoded query.
    ///
    /// # Errors
    /// When it is not UTF-8, repeats a parameter of ours, or has one that looks like a misspelling of ours or hides one.
    pub(crate) fn parse(raw: &str) -> Result<Self, Problem> {
        refuse_disguises(raw, &OURS_AND_NEAR_MISSES)?;
        let mut query = Self::default();
        for (name, value) in form::pieces(raw) {
            let name = form_decoded(name, "query")?;
            if OURS.contains(&name.as_str()) {
                let value = form_decoded(value, &name)?;
                query.add(name, value)?;
            } else if let Some(meant) = near_miss(&name) {
                let message = Message::new(
                    format!("不是本服务的参数，是否想写 {meant}？"),
                    format!("is not a parameter of this service; did you mean {meant}?"),
                );
                return Err(Problem::invalid_parameter(&name, message));
            }
        }
        Ok(query)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Problem> {
        if self.get(&name).is_some() {
            return Err(Problem::invalid_parameter(&name, given_twice()));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// Without the pairs whose value is empty, as a form sends the fields that were left blank. It has none for a signature.
    pub(crate) fn without_blanks(mut self) -> Self {
        let of_link = |name: &str| matches!(name, "exp" | "sig");
        self.pairs
            .retain(|(name, value)| !value.is_empty() || of_link(name));
        self
    }

    /// Without that parameter.
    pub(crate) fn without(mut self, unwanted: &str) -> Self {
        self.pairs.retain(|(name, _)| name != unwanted);
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All that is ours, decoded.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameters that say which code and which picture is meant, in the order in which they came.
    pub(crate) fn picture_link_pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        const NOT_PASSED_ON: &[&str] = &["format", "fragment", "lang"];
        self.pairs()
            .filter(|(name, _)| !NOT_PASSED_ON.contains(name))
    }

    /// A parameter's value as a checked one; none if it is not given.
    fn parsed<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr<Err: Into<Message>>,
    {
        self.get(name).map(|text| parsed(name, text)).transpose()
    }

    /// The representation, where it is asked for by name.
    pub(crate) fn format(&self) -> Result<Option<Format>, Problem> {
        self.parsed("format")
    }

    /// The language, where it is asked for.
    pub(crate) fn lang(&self) -> Result<Option<Lang>, Problem> {
        self.parsed("lang")
    }

    /// Whether only the image element is wanted.
    pub(crate) fn fragment(&self) -> Result<bool, Problem> {
        match self.get("fragment") {
            None => Ok(false),
            Some("1") => Ok(true),
            Some(_) => {
                let message = Message::new("只能是 1，或不给出", "must be 1, or not be given");
                Err(Problem::invalid_parameter("fragment", message))
            }
        }
    }

    fn permanent(&self) -> Result<bool, Problem> {
        match self.get("permanent") {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                let message = Message::new("只能是 true 或 false", "must be true or false");
                Err(Problem::invalid_parameter("permanent", message))
            }
        }
    }

    /// When the link ends, where it says so.
    pub(crate) fn exp(&self) -> Result<Option<Expiry>, Problem> {
        self.parsed("exp")
    }

    /// The wish for a code.
    pub(crate) fn code_spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        let spec = UncheckedSpec {
            scene_id: self.get("scene_id"),
            scene_str: self.get("scene_str"),
            permanent: self.permanent()?,
            expire_seconds: self.get("expire_seconds"),
        };
        spec.checked(default_expire)
    }

    /// How our own picture is to look. A size that WeChat's code will not fit is refused here, before it is made.
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

/// The decoded pairs of a query in which every parameter is ours, each at most once. The caller looks whether each name is
/// one of `known`.
///
/// # Errors
/// When it is not UTF-8, repeats a parameter, or hides one of `known`.
pub(crate) fn form_pairs(raw: &str, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    refuse_disguises(raw, known)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in form::pieces(raw) {
        let name = form_decoded(name, "query")?;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Problem::invalid_parameter(&name, given_twice()));
        }
        let value = form_decoded(value, &name)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Refuses a query that holds one of these parameters in a form in which it would not be read.
///
/// # Errors
/// Names the parameter, and says what was sent for what.
pub(crate) fn refuse_disguises(raw: &str, known: &[&str]) -> Result<(), Problem> {
    let Some(found) = disguise::find(raw, known) else {
        return Ok(());
    };
    let message = match found.flaw {
        disguise::Flaw::Sent { sent, meant } => Message::new(
            format!("未被读取：链接中的“{meant}”变成了“{sent}”，请使用未经改动的原始链接"),
            format!(
                "is not read, because \"{sent}\" was sent for \"{meant}\"; use the link as it was made, with & between name=value pairs"
            ),
        ),
        disguise::Flaw::Name(sent) => Message::new(
            format!("未被读取：参数名变成了“{sent}”，请使用未经改动的原始链接"),
            format!(
                "is not read, because its name was sent as \"{sent}\"; use the link as it was made"
            ),
        ),
    };
    Err(Problem::invalid_parameter(found.name, message))
}

/// A form-encoded piece as text.
fn form_decoded(piece: &str, name: &str) -> Result<String, Problem> {
    form::decoded(piece).map_err(|_| Problem::invalid_parameter(name, not_utf_8()))
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

/// The parameter that an unknown one was certainly meant to be: a listed word, or ours but for case, separators or one
/// letter.
fn near_miss(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    // Behind what is left of an entity, as in `amp;expire`.
    let name = name.rsplit([';', '&', '?']).next().unwrap_or_default();
    let written = plain(name);
    let listed = NEAR_MISSES
        .iter()
        .find(|(miss, _)| plain(miss) == written)
        .map(|&(_, meant)| meant);
    listed.or_else(|| {
        OURS.iter()
            .find(|ours| is_close(&written, &plain(ours)))
            .copied()
    })
}

fn is_close(written: &str, ours: &str) -> bool {
    /// Short words have too many neighbours: `form` and `from` are not `format`, but `rang` might be `lang`.
    const LONG_ENOUGH: usize = 6;
    written == ours || (ours.len() >= LONG_ENOUGH && strsim::osa_distance(written, ours) == 1)
}

#[cfg(test)]
mod tests;
