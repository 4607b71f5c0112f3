//! WeChat's pushes, from bytes to a checked event. It must not know HTTP frameworks, nor what is done with an event.
//!
//! [`Gate`] is the type to read first. From the outside in: `query` reads the parameters, `signature` checks who signed
//! them, `cipher` opens what is sealed, `fields` reads XML and JSON alike, `event` says what happened. `credentials` has
//! what the account's owner agreed on with WeChat.
//!
//! Whatever does not prove that it comes from WeChat is [`Refused`], in one way, whichever check it failed. What does, and
//! still cannot be read, is an outcome of its own, [`Content::Unreadable`]: refused, it would come again and again, and the
//! follower would see an error each time.

mod cipher;
mod credentials;
mod event;
mod fields;
mod json;
mod query;
mod signature;
#[cfg(test)]
mod tests;
mod xml;

use jiff::Timestamp;
use url::form_urlencoded;

pub use credentials::{AesKeys, CallbackToken, Credentials, CredentialsError, EncodingAesKey};
pub use fields::{Field, Flaw};

use crate::event::Event;

use fields::{Fields, Unread};
use query::{Query, Stamp};

/// Lets in what WeChat sent, and nothing else.
#[derive(Debug, Clone)]
pub struct Gate {
    credentials: Credentials,
    app_id: String,
}

/// What WeChat pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What it says.
    pub content: Content,
    /// Whether only the previous key opened it: WeChat still uses the one that the owner has replaced.
    pub needed_previous_key: bool,
}

/// What a push says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Somebody followed, scanned or left. To be stored before it is acknowledged.
    Event(Event),
    /// Anything else, such as a message. To be acknowledged.
    Other,
    /// WeChat sent it, and it makes no sense to us. To be acknowledged too, and counted: a repeat would not read better.
    Unreadable(Flaw),
}

/// It was not proven that WeChat sent this. Says the same of every failure, so that a forger learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not from WeChat")]
pub struct Refused(Reason);

/// Why something was refused: for a metric, never for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// More than [`Gate::MAX_BODY`].
    TooLarge,
    /// A parameter is missing, there twice, or cannot be one.
    Query,
    /// A key is configured, and nothing in the push is encrypted.
    Unencrypted,
    /// The document around the encrypted part cannot be read.
    Envelope,
    /// A document type, an entity or a processing instruction: WeChat sends none.
    Markup,
    /// Not signed with our token.
    Signature,
    /// Signed, but more than [`Gate::REPLAY_WINDOW_SECONDS`] ago or ahead. Many of these are a wrong clock.
    Stale,
    /// Signed, but neither key opens it.
    Cipher,
    /// Opened, and meant for another account.
    AppId,
}

impl Refused {
    /// For a metric's label.
    pub fn reason(self) -> Reason {
        self.0
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::TooLarge,
        Self::Query,
        Self::Unencrypted,
        Self::Envelope,
        Self::Markup,
        Self::Signature,
        Self::Stale,
        Self::Cipher,
        Self::AppId,
    ];

    /// The label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Query => "query",
            Self::Unencrypted => "unencrypted",
            Self::Envelope => "envelope",
            Self::Markup => "markup",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Cipher => "cipher",
            Self::AppId => "app_id",
        }
    }
}

impl Gate {
    /// The longest body, in bytes. WeChat's are a few hundred; a message of the longest text has about 7 KiB.
    pub const MAX_BODY: usize = 64 * 1024;

    /// How far a push's time may be off, in seconds: enough for WeChat's repeats and a clock that is a little wrong.
    pub const REPLAY_WINDOW_SECONDS: u64 = 600;

    /// A gate for one account.
    pub fn new(credentials: Credentials, app_id: impl Into<String>) -> Self {
        Self {
            credentials,
            app_id: app_id.into(),
        }
    }

    /// Checks the request by which WeChat makes sure that the callback is ours, and returns the `echostr` to answer, alone
    /// and as text. It is at most 1024 printable ASCII characters, and not signed: never answer it as HTML.
    ///
    /// `query` is the raw query, without the question mark.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify_url(&self, query: &str, now: Timestamp) -> Result<String, Refused> {
        let query = Query::parse(query)?;
        let echo = query.echo()?.to_owned();
        self.check_stamp(&query, now)?;
        Ok(echo)
    }

    /// The query of such a request, as WeChat's console would send it with this `echostr`.
    pub fn question(&self, echo: &str, now: Timestamp) -> String {
        let timestamp = now.as_second().to_string();
        let nonce = "wxqr";
        let token = self.credentials.token.expose();
        let signature = signature::of(vec![token, &timestamp, nonce]);
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("signature", signature.as_str()),
                ("timestamp", &timestamp),
                ("nonce", nonce),
                ("echostr", echo),
            ])
            .finish()
    }

    /// Reads a push. `query` is the raw query, without the question mark; the format is told from the body itself.
    ///
    /// With an AES key, only the encrypted part is read, whatever stands beside it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&self, query: &str, body: &[u8], now: Timestamp) -> Result<Push, Refused> {
        if body.len() > Self::MAX_BODY {
            return Err(Reason::TooLarge.into());
        }
        let query = Query::parse(query)?;
        match &self.credentials.keys {
            None => self.open_plain(&query, body, now),
            Some(keys) => self.open_sealed(keys, &query, body, now),
        }
        .map_err(Refused::from)
    }

    fn open_plain(&self, query: &Query<'_>, body: &[u8], now: Timestamp) -> Result<Push, Reason> {
        self.check_stamp(query, now)?;
        Ok(Push {
            content: content(body)?,
            needed_previous_key: false,
        })
    }

    fn open_sealed(
        &self,
        keys: &AesKeys,
        query: &Query<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Push, Reason> {
        let envelope = Fields::read(body).map_err(|unread| match unread {
            Unread::Forbidden => Reason::Markup,
            Unread::Flawed(_) => Reason::Envelope,
        })?;
        let sealed = envelope.get(Field::Encrypt).ok_or(Reason::Unencrypted)?;
        let stamp = query.stamp()?;
        // Before anything is decrypted: the cipher alone does not notice changes.
        let signature = query.msg_signature().ok_or(Reason::Signature)?;
        self.check_signature(signature, &[stamp.timestamp, stamp.nonce, sealed])?;
        check_time(&stamp, now)?;
        let opened = cipher::open(sealed, keys, &self.app_id)?;
        Ok(Push {
            content: content(&opened.message)?,
            needed_previous_key: opened.needed_previous_key,
        })
    }

    /// Checks the signature that covers the time and the nonce alone.
    fn check_stamp(&self, query: &Query<'_>, now: Timestamp) -> Result<(), Reason> {
        let stamp = query.stamp()?;
        let signature = query.signature().ok_or(Reason::Signature)?;
        self.check_signature(signature, &[stamp.timestamp, stamp.nonce])?;
        check_time(&stamp, now)
    }

    fn check_signature(&self, given: &str, parts: &[&str]) -> Result<(), Reason> {
        let parts = [&[self.credentials.token.expose()], parts].concat();
        if signature::is_of(given, parts) {
            Ok(())
        } else {
            Err(Reason::Signature)
        }
    }
}

/// Checked after the signature, so that the reason tells an old push, or a wrong clock, from a forged one.
fn check_time(stamp: &Stamp<'_>, now: Timestamp) -> Result<(), Reason> {
    if stamp.seconds.abs_diff(now.as_second()) <= Gate::REPLAY_WINDOW_SECONDS {
        Ok(())
    } else {
        Err(Reason::Stale)
    }
}

/// What a message says once it is known to be WeChat's.
fn content(message: &[u8]) -> Result<Content, Reason> {
    let read = Fields::read(message).and_then(|fields| Ok(event::read(&fields)?));
    match read {
        Ok(Some(event)) => Ok(Content::Event(event)),
        Ok(None) => Ok(Content::Other),
        Err(Unread::Flawed(flaw)) => Ok(Content::Unreadable(flaw)),
        Err(Unread::Forbidden) => Err(Reason::Markup),
    }
}
