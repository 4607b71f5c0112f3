//! WeChat's pushes, from bytes to a checked event. It must not know HTTP frameworks, nor what is done with an event.
//!
//! [`Gate`] is the type to read first. From the outside in: `query` reads the parameters, `signature` checks who signed
//! them, `cipher` opens what is sealed, `fields` reads XML and JSON alike, `event` says what happened. `credentials` has
//! what the account's owner agreed on with WeChat. `diagnosis` says what the operator can do about a refusal, and `history`
//! counts what was accepted and refused.
//!
//! Whatever does not prove that it comes from WeChat is [`Refused`], in one way, whichever check it failed. What does, and
//! still cannot be read, is an outcome of its own, [`Content::Unreadable`]: refused, it would come again and again, and the
//! follower would see an error each time.

mod cipher;
mod credentials;
mod diagnosis;
mod event;
mod fields;
mod history;
mod json;
mod query;
mod signature;
#[cfg(test)]
mod tests;
mod xml;

use jiff::Timestamp;
use url::form_urlencoded;

pub use credentials::{AesKeys, CallbackToken, Credentials, CredentialsError, EncodingAesKey};
pub use diagnosis::{Diagnosis, Evidence};
pub use fields::{Field, Flaw};
pub use history::{History, LastRefusal, Summary};

use crate::event::Event;

use fields::{Fields, Unread};
use query::{Query, Stamp};

/// Lets in what WeChat sent, and nothing else.
#[derive(Debug, Clone)]
pub struct Gate {
    credentials: Credentials,
    app_id: String,
}

/// Who may have sent a push, as far as its query tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The plain signature is valid: the sender knows the Token, or replays a query that was signed within the time window.
    HasToken,
    /// Anybody: only the signature over the body can tell.
    Unknown,
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
pub struct Refused {
    reason: Reason,
    diagnosis: Option<Diagnosis>,
}

/// Why something was refused: for a metric, never for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// More than [`Gate::MAX_BODY`].
    TooLarge,
    /// A parameter is missing, there twice, or cannot be one.
    Query,
    /// Signed, and a key is configured, and nothing in the push is encrypted.
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
    /// A replay of an encrypted push: its signature was made for another time, which now stands as the nonce.
    Swapped,
}

impl Refused {
    /// For a metric's label.
    pub fn reason(self) -> Reason {
        self.reason
    }

    /// The cause and the action, for the log and for holders of a key; never part of an answer to the sender.
    pub fn diagnosis(self) -> Option<Diagnosis> {
        self.diagnosis
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::TooLarge,
        Self::Query,
        Self::Unencrypted,
        Self::Envelope,
        Self::Markup,
        Self::Signature,
        Self::Stale,
        Self::Cipher,
        Self::AppId,
        Self::Swapped,
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
            Self::Swapped => "swapped",
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
        let parsed = Query::parse(query);
        let verified = parsed.as_ref().map_err(|reason| *reason).and_then(|query| {
            let echo = query.echo()?.to_owned();
            self.check_stamp(query, now)?;
            Ok(echo)
        });
        verified.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
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

    /// Judges a push by its query alone, so that nothing is read of a body whose query can never be valid. `query` is the raw
    /// query, without the question mark.
    ///
    /// # Errors
    /// [`Refused`]. What [`Gate::open`] lets in is never refused here.
    pub fn admit(&self, query: &str, now: Timestamp) -> Result<Sender, Refused> {
        let parsed = Query::parse(query);
        let sender = parsed
            .as_ref()
            .map_err(|reason| *reason)
            .and_then(|query| self.sender(query, now));
        sender.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
    }

    fn sender(&self, query: &Query<'_>, now: Timestamp) -> Result<Sender, Reason> {
        let stamp = query.stamp()?;
        let signed = self.check_stamp(query, now);
        if self.credentials.keys.is_none() {
            return signed.map(|()| Sender::HasToken);
        }
        match (signed, query.msg_signature()) {
            (Err(Reason::Stale), _) => Err(Reason::Stale),
            // The signature of an encrypted push was lost on the way.
            (Ok(()), None) if query.names_encryption() => Err(Reason::Signature),
            (Ok(()), None) => Err(Reason::Unencrypted),
            (_, Some(signature)) if !signature::is_one(signature) => Err(Reason::Signature),
            (Ok(()), Some(_)) => Ok(Sender::HasToken),
            // WeChat signs the query of encrypted pushes as well, but says that only the other signature is to be verified,
            // and that one covers the body.
            (Err(_), Some(_)) if check_time(&stamp, now).is_ok() => Ok(Sender::Unknown),
            (Err(reason), _) => Err(reason),
        }
    }

    /// Reads a push. `query` is the raw query, without the question mark; the format is told from the body itself.
    ///
    /// With an AES key, only the encrypted part is read, whatever stands beside it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&self, query: &str, body: &[u8], now: Timestamp) -> Result<Push, Refused> {
        let parsed = Query::parse(query);
        let opened = parsed.as_ref().map_err(|reason| *reason).and_then(|query| {
            if body.len() > Self::MAX_BODY {
                return Err(Reason::TooLarge);
            }
            match &self.credentials.keys {
                None => self.open_plain(query, body, now),
                Some(keys) => self.open_sealed(keys, query, body, now),
            }
        });
        opened.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
    }

    fn refused(&self, reason: Reason, query: Option<&Query<'_>>, now: Timestamp) -> Refused {
        Refused {
            reason,
            diagnosis: self.diagnose(reason, query, now),
        }
    }

    /// What a refusal tells the operator. Only the query is asked besides the reason, so that it does not matter how far the
    /// push was read.
    fn diagnose(
        &self,
        reason: Reason,
        query: Option<&Query<'_>>,
        now: Timestamp,
    ) -> Option<Diagnosis> {
        match reason {
            Reason::TooLarge | Reason::Swapped => return None,
            Reason::Unencrypted => return Some(Diagnosis::NotEncrypted),
            Reason::Cipher => return Some(Diagnosis::OtherKey),
            Reason::AppId => return Some(Diagnosis::OtherAccount),
            Reason::Query
            | Reason::Envelope
            | Reason::Markup
            | Reason::Signature
            | Reason::Stale => {}
        }
        let Some(stamp) = query.and_then(|query| query.stamp().ok()) else {
            return Some(Diagnosis::Unsigned);
        };
        let Some(signature) = query.and_then(Query::signature) else {
            return Some(Diagnosis::Unsigned);
        };
        if self
            .check_signature(signature, &[stamp.timestamp, stamp.nonce])
            .is_err()
        {
            return Some(Diagnosis::OtherToken);
        }
        Some(match check_time(&stamp, now) {
            Ok(()) => Diagnosis::Altered,
            Err(_) => Diagnosis::Clock {
                ahead_seconds: now.as_second() - stamp.seconds,
            },
        })
    }

    fn open_plain(&self, query: &Query<'_>, body: &[u8], now: Timestamp) -> Result<Push, Reason> {
        self.check_stamp(query, now)?;
        Ok(Push {
            content: content(Fields::read(body))?,
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
        let Some(sealed) = envelope.get(Field::Encrypt) else {
            self.check_stamp(query, now)?;
            return Err(Reason::Unencrypted);
        };
        let stamp = query.stamp()?;
        // Before anything is decrypted: the cipher alone does not notice changes.
        let signature = query.msg_signature().ok_or(Reason::Signature)?;
        self.check_signature(signature, &[stamp.timestamp, stamp.nonce, sealed])?;
        check_time(&stamp, now)?;
        let opened = cipher::open(sealed, keys, &self.app_id)?;
        let message = Fields::read(&opened.message);
        if message
            .as_ref()
            .is_ok_and(|fields| is_swapped(&stamp, fields))
        {
            return Err(Reason::Swapped);
        }
        Ok(Push {
            content: content(message)?,
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

/// Whether the signature was made for another time than the one in the query.
///
/// A signature runs over its sorted parts in a row, and so is as good with `timestamp` and `nonce` exchanged, or with digits
/// moved from one to the other. An old nonce that looks like the present time makes an old push fit into the window again.
/// The encrypted message has a time of its own: where another reading of the same digits is nearer to it than the query's
/// time is, the push is a replay. A genuine push has both times seconds apart; ten minutes apart, a random nonce would come
/// between by a chance of less than one in a million.
fn is_swapped(stamp: &Stamp<'_>, message: &Fields) -> bool {
    let Some(created) = message.get(Field::CreateTime).and_then(event::unix_time) else {
        return false;
    };
    let distance = |seconds: i64| seconds.abs_diff(created.as_second());
    let mut parts = [stamp.timestamp, stamp.nonce];
    parts.sort_unstable();
    let digits = parts.concat();
    // Every time from 2001 to 2286 has ten digits.
    let first = digits.get(..10);
    let last = digits.get(digits.len().saturating_sub(10)..);
    [first, last]
        .into_iter()
        .flatten()
        .filter_map(|digits| digits.parse().ok())
        .any(|seconds| distance(seconds) < distance(stamp.seconds))
}

/// What a message says once it is known to be WeChat's.
fn content(message: Result<Fields, Unread>) -> Result<Content, Reason> {
    let read = message.and_then(|fields| Ok(event::read(&fields)?));
    match read {
        Ok(Some(event)) => Ok(Content::Event(event)),
        Ok(None) => Ok(Content::Other),
        Err(Unread::Flawed(flaw)) => Ok(Content::Unreadable(flaw)),
        Err(Unread::Forbidden) => Err(Reason::Markup),
    }
}
