//! The fields of a message that mean something to us, whichever format it came in. All others are left alone, in whatever
//! order they come.

use std::fmt;

use super::{json, xml};

/// A field that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The openid of the follower.
    FromUserName,
    /// When it happened, in unix seconds.
    CreateTime,
    /// `event` for events.
    MsgType,
    /// Which event.
    Event,
    /// The scene, perhaps with a prefix.
    EventKey,
    /// The ticket of the code that was scanned.
    Ticket,
    /// The encrypted message.
    Encrypt,
}

impl Field {
    const ALL: [Self; 7] = [
        Self::FromUserName,
        Self::CreateTime,
        Self::MsgType,
        Self::Event,
        Self::EventKey,
        Self::Ticket,
        Self::Encrypt,
    ];

    /// The name as WeChat spells it, in XML and JSON alike.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FromUserName => "FromUserName",
            Self::CreateTime => "CreateTime",
            Self::MsgType => "MsgType",
            Self::Event => "Event",
            Self::EventKey => "EventKey",
            Self::Ticket => "Ticket",
            Self::Encrypt => "Encrypt",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes a message unreadable. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Neither XML nor JSON of the form that WeChat sends.
    #[error("is neither a message in XML nor one in JSON")]
    Syntax,
    /// A field is there twice, and so may say two things.
    #[error("has {0} twice")]
    Repeated(Field),
    /// An event without a field that it needs.
    #[error("has no {0}")]
    Missing(Field),
    /// An event with a field that cannot be true.
    #[error("has a {0} that cannot be one")]
    Invalid(Field),
    /// It is encrypted, and no key is configured.
    #[error("is encrypted, and no key is configured")]
    Sealed,
}

/// Why a document was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It has what WeChat never sends, and what parsers have been attacked with.
    Forbidden,
    /// It is not as it should be.
    Flawed(Flaw),
}

impl From<Flaw> for Unread {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

/// The texts of the fields, each there once at most.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields([Option<String>; Field::ALL.len()]);

impl Fields {
    /// Reads a document; which format it is in, its first character tells.
    ///
    /// A follower's message may have bytes that are not UTF-8. They must not cost it its acknowledgement, and so are
    /// replaced; in a field that we read, they are not at home.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unread> {
        let text = String::from_utf8_lossy(body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_ascii();
        match text.as_bytes().first() {
            Some(b'<') => xml::read(text),
            Some(b'{') => Ok(json::read(text)?),
            _ => Err(Flaw::Syntax.into()),
        }
    }

    /// The text of a field; an empty one counts as absent.
    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.0[field as usize]
            .as_deref()
            .filter(|text| !text.is_empty())
    }

    pub(super) fn put(&mut self, field: Field, text: String) -> Result<(), Flaw> {
        match self.0[field as usize].replace(text) {
            None => Ok(()),
            Some(_) => Err(Flaw::Repeated(field)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_place_and_its_name() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            assert_eq!(Field::named(field.as_str()), Some(field));
        }
        assert_eq!(Field::named("event"), None);
    }

    #[test]
    fn the_format_is_told_by_the_content() {
        let event = |body: &[u8]| {
            Fields::read(body).map(|fields| fields.get(Field::Event).map(str::to_owned))
        };
        for body in [
            b"<xml><Event>SCAN</Event></xml>".as_slice(),
            b"\xef\xbb\xbf \r\n<xml><Event>SCAN</Event></xml>\n",
            b"{\"Event\":\"SCAN\"}",
            b"\n\t{\"Event\":\"SCAN\"} ",
            b"<xml><Content><![CDATA[\xf0\x9f]]></Content><Event>SCAN</Event></xml>",
            b"{\"Content\":\"\xf0\x9f\",\"Event\":\"SCAN\"}",
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(event(body), Ok(Some("SCAN".to_owned())), "body {shown:?}");
        }
        for body in [b"".as_slice(), b" ", b"[]", b"Event=SCAN", b"\"\"", b"\0<"] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(event(body), Err(Flaw::Syntax.into()), "body {shown:?}");
        }
    }
}
