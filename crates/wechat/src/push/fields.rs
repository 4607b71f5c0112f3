//! Message fields that the service uses, independent of XML or JSON. Other fields are ignored.

use std::fmt;

/// A field that the service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The account's original id (`gh_…`), which is not its `AppID`.
    ToUserName,
    /// The follower's openid.
    FromUserName,
    /// Time of the event, in unix seconds.
    CreateTime,
    /// Kind of message; `event` for events.
    MsgType,
    /// Kind of event.
    Event,
    /// The scene, with or without a prefix.
    EventKey,
    /// The ticket of the scanned code.
    Ticket,
    /// The encrypted message.
    Encrypt,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::ToUserName,
        Self::FromUserName,
        Self::CreateTime,
        Self::MsgType,
        Self::Event,
        Self::EventKey,
        Self::Ticket,
        Self::Encrypt,
    ];

    /// The name in XML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToUserName => "ToUserName",
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

/// Why a message cannot be used. Quotes no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Neither XML nor JSON in the form that WeChat sends.
    #[error("is neither a message in XML nor one in JSON")]
    Syntax,
    /// A duplicate field, which is ambiguous.
    #[error("has {0} twice")]
    Repeated(Field),
    /// An event without a required field.
    #[error("has no {0}")]
    Missing(Field),
    /// An event with an invalid field.
    #[error("has an invalid {0}")]
    Invalid(Field),
    /// An encrypted message, although no key is configured.
    #[error("is encrypted, and no key is configured")]
    Encrypted,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadError {
    /// Markup that WeChat never sends and that attacks on XML parsers use.
    Forbidden,
    /// A malformed document.
    Malformed(MessageError),
}

impl From<MessageError> for ReadError {
    fn from(error: MessageError) -> Self {
        Self::Malformed(error)
    }
}

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Xml,
    Json,
}

/// Values of the fields, each at most once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    values: [Option<String>; Field::ALL.len()],
    pub(super) format: Format,
}

impl Fields {
    /// The value of a field; an empty one counts as absent.
    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.values[field as usize]
            .as_deref()
            .filter(|text| !text.is_empty())
    }

    pub(super) fn put(&mut self, field: Field, text: String) -> Result<(), MessageError> {
        match self.values[field as usize].replace(text) {
            None => Ok(()),
            Some(_) => Err(MessageError::Repeated(field)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_indexed_by_declaration_order() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            assert_eq!(Field::named(field.as_str()), Some(field));
        }
        assert_eq!(Field::named("event"), None);
    }
}
