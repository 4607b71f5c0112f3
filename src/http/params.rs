//! The query of `/qrcode`: read once, strictly, into values that cannot be wrong.

use super::lang::Lang;
use super::negotiate::Format;
use super::problem::Problem;
use super::wish::{Wish, parsed};
use crate::form;
use crate::render::{Colors, Margin, PixelSize, Rgb, Style};
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
];

/// Words that people write for one of ours, besides those that differ by a letter, by case or by underscores.
const NEAR_MISSES: &[(&str, &str)] = &[
    ("scene", "scene_id or scene_str"),
    ("id", "scene_id"),
    ("str", "scene_str"),
    ("expire", "expire_seconds"),
    ("expires", "expire_seconds"),
    ("expires_in", "expire_seconds"),
    ("ttl", "expire_seconds"),
    ("perm", "permanent"),
    ("fmt", "format"),
    ("colour", "color"),
    ("fg", "color"),
    ("background", "bg"),
    ("bgcolor", "bg"),
    ("language", "lang"),
];

/// A query, decoded but not yet understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a form-encoded query.
    ///
    /// # Errors
    /// When it is not UTF-8, repeats a parameter of ours, or has one that looks like a misspelling of ours.
    pub(crate) fn parse(raw: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form::pieces(raw) {
            let name = form_decoded(name, "query")?;
            if OURS.contains(&name.as_str()) {
                let value = form_decoded(value, &name)?;
                query.add(name, value)?;
            } else if let Some(meant) = near_miss(&name) {
                let message = format!("is not a parameter of this service; did you mean {meant}?");
                return Err(Problem::invalid_parameter(&name, message));
            }
        }
        Ok(query)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Problem> {
        if self.get(&name).is_some() {
            return Err(Problem::invalid_parameter(&name, "must be given once only"));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// Without the pairs whose value is empty, as a form sends the fields that were left blank.
    pub(crate) fn without_blanks(mut self) -> Self {
        self.pairs.retain(|(_, value)| !value.is_empty());
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

    /// The parameters that say which code and which picture is meant, in the order in which they came.
    pub(crate) fn picture_link_pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        const NOT_PASSED_ON: &[&str] = &["format", "fragment", "lang"];
        self.pairs
            .iter()
            .filter(|(name, _)| !NOT_PASSED_ON.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter's value as a checked one; none if it is not given.
    fn parsed<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
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
            Some(_) => Err(Problem::invalid_parameter(
                "fragment",
                "must be 1, or not be given",
            )),
        }
    }

    fn permanent(&self) -> Result<bool, Problem> {
        match self.get("permanent") {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid_parameter(
                "permanent",
                "must be true or false",
            )),
        }
    }

    /// The wish for a code.
    pub(crate) fn code_spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        let wish = Wish {
            scene_id: self.get("scene_id"),
            scene_str: self.get("scene_str"),
            permanent: self.permanent()?,
            expire_seconds: self.get("expire_seconds"),
        };
        wish.checked(default_expire)
    }

    /// How our own picture is to look.
    pub(crate) fn style(&self) -> Result<Style, Problem> {
        let size: Option<PixelSize> = self.parsed("size")?;
        let margin: Option<Margin> = self.parsed("margin")?;
        let color: Option<Rgb> = self.parsed("color")?;
        let background: Option<Rgb> = self.parsed("bg")?;
        let colors = Colors::new(
            color.unwrap_or(Rgb::BLACK),
            background.unwrap_or(Rgb::WHITE),
        );
        let named = if color.is_some() { "color" } else { "bg" };
        Ok(Style {
            size: size.unwrap_or_default(),
            margin: margin.unwrap_or_default(),
            colors: colors.map_err(|error| Problem::invalid_parameter(named, error))?,
        })
    }
}

/// The decoded pairs of a query in which every parameter is ours, each at most once.
///
/// # Errors
/// When it is not UTF-8 or repeats a parameter.
pub(crate) fn form_pairs(raw: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in form::pieces(raw) {
        let name = form_decoded(name, "query")?;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Problem::invalid_parameter(&name, "must be given once only"));
        }
        let value = form_decoded(value, &name)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// A form-encoded piece as text.
fn form_decoded(piece: &str, name: &str) -> Result<String, Problem> {
    form::decoded(piece)
        .map_err(|_| Problem::invalid_parameter(name, "must be UTF-8, percent-encoded"))
}

/// The parameter that a stranger's was probably meant to be. Links in the wild carry many names that are not ours, so a
/// name must be very close.
fn near_miss(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
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
mod tests {
    use super::*;
    use crate::scene::{Kind, SceneValue};

    fn spec(raw: &str) -> Result<CodeSpec, Problem> {
        Query::parse(raw)?.code_spec("7200".parse().unwrap())
    }

    #[test]
    fn the_four_kinds() {
        for (raw, kind, value, life) in [
            (
                "scene_id=123",
                Kind::QrScene,
                SceneValue::Id(123),
                Some(7200),
            ),
            (
                "scene_id=4294967295&expire_seconds=60",
                Kind::QrScene,
                SceneValue::Id(u32::MAX),
                Some(60),
            ),
            (
                "scene_str=a+b%2B&permanent=false",
                Kind::QrStrScene,
                SceneValue::Text("a b+"),
                Some(7200),
            ),
            (
                "scene_str=%E5%B1%95",
                Kind::QrStrScene,
                SceneValue::Text("展"),
                Some(7200),
            ),
            (
                "permanent=true&scene_id=100000",
                Kind::QrLimitScene,
                SceneValue::Id(100_000),
                None,
            ),
            (
                "permanent=true&scene_str=0123",
                Kind::QrLimitStrScene,
                SceneValue::Text("0123"),
                None,
            ),
            (
                "&&scene_id=1&utm_source=x&from=singlemessage&isappinstalled=0",
                Kind::QrScene,
                SceneValue::Id(1),
                Some(7200),
            ),
        ] {
            let spec = spec(raw).unwrap();
            let scene = spec.scene();
            let got = (
                scene.kind(),
                scene.value(),
                spec.lifetime().map(Lifetime::as_secs),
            );
            assert_eq!(got, (kind, value, life), "query {raw:?}");
        }
    }

    #[test]
    fn bad_queries_name_the_parameter() {
        for (raw, parameter) in [
            ("", "scene_id"),
            ("scene_id=", "scene_id"),
            ("scene_id=0", "scene_id"),
            ("scene_id=1&scene_id=1", "scene_id"),
            ("scene_id=1&scene_str=a", "scene_str"),
            ("scene_id=100001&permanent=true", "scene_id"),
            ("scene_id=1&permanent=1", "permanent"),
            (
                "scene_id=1&permanent=true&expire_seconds=60",
                "expire_seconds",
            ),
            ("scene_id=1&expire_seconds=0", "expire_seconds"),
            ("scene_str=%FF", "scene_str"),
            ("scene_str=wxqr.x", "scene_str"),
            ("scene_str=a%0D%0Ab", "scene_str"),
            ("%FF=1&scene_id=1", "query"),
            ("scene_id=1&expire=60", "expire"),
            ("scene=1", "scene"),
            ("sceneId=1", "sceneId"),
            ("scene_id=1&permanant=true", "permanant"),
            ("scene_id=1&expire_second=60", "expire_second"),
        ] {
            let problem = spec(raw).unwrap_err();
            assert_eq!(
                problem.parameter.as_deref(),
                Some(parameter),
                "query {raw:?}"
            );
            assert_eq!(problem.code.as_str(), "invalid_parameter", "query {raw:?}");
        }
    }

    #[test]
    fn what_campaigns_and_wechat_add_is_ignored() {
        for name in [
            "from",
            "isappinstalled",
            "utm_source",
            "utm_id",
            "fbclid",
            "nsukey",
            "code",
            "state",
            "t",
            "v",
            "form",
        ] {
            assert_eq!(near_miss(name), None, "parameter {name:?}");
        }
    }

    #[test]
    fn a_picture_link_repeats_what_makes_the_picture() {
        let query =
            Query::parse("size=200&scene_id=1&format=json&lang=en&utm_source=x&bg=fff").unwrap();
        let pairs: Vec<_> = query.picture_link_pairs().collect();
        assert_eq!(pairs, [("size", "200"), ("scene_id", "1"), ("bg", "fff")]);
    }
}
