//! A sentence of an error, in the languages of the representations that can show it.

use std::borrow::Cow;

use crate::http::i18n::lang::Lang;

/// One sentence without its full stop. About a parameter, it continues the parameter's name: "must
/// be ...".
///
/// An English text converts into one without Chinese: for errors below `/api` and at `/callback`,
/// which are answered in JSON whatever the caller accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    english: Cow<'static, str>,
    chinese: Option<Cow<'static, str>>,
}

impl Message {
    /// A sentence that pages show too.
    pub(crate) fn new(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self {
            english: en.into(),
            chinese: Some(zh.into()),
        }
    }

    pub(crate) fn has_chinese(&self) -> bool {
        self.chinese.is_some()
    }

    /// The sentence in this language; in English where it has no other.
    pub(crate) fn text(&self, lang: Lang) -> &str {
        lang.pick(
            self.chinese.as_ref().unwrap_or(&self.english),
            &self.english,
        )
    }
}

impl From<&'static str> for Message {
    fn from(english: &'static str) -> Self {
        Self {
            english: english.into(),
            chinese: None,
        }
    }
}

impl From<String> for Message {
    fn from(english: String) -> Self {
        Self {
            english: english.into(),
            chinese: None,
        }
    }
}
