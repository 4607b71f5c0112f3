//! The push protocol, from bytes to a verified event. Independent of the HTTP framework and of what
//! is done with events.
//!
//! [`PushVerifier`] is the type to read first. In order of use: `query` parses the parameters,
//! `signature` verifies the SHA-1 signature, `cipher` decrypts, `fields` parses XML and JSON,
//! `event` converts to events, `reply` writes what the follower gets. `credentials` holds the
//! secrets. `diagnosis` explains rejections to the operator.
//!
//! A push whose origin is not proven is [`Rejected`], with the same error whichever check failed. A
//! genuine push that cannot be parsed is [`Content::Unreadable`] instead: rejecting it would make
//! WeChat repeat it and show an error to the follower each time.

mod cipher;
mod credentials;
mod diagnosis;
mod document;
mod event;
mod fields;
mod json;
mod query;
mod rejected;
mod reply;
mod signature;
#[cfg(test)]
mod tests;
mod xml;

use jiff::Timestamp;
use url::form_urlencoded;

pub use credentials::{AesKeys, CallbackToken, Credentials, CredentialsError, EncodingAesKey};
pub use diagnosis::{Diagnosis, Evidence};
pub use fields::{Field, MessageError};
pub use rejected::{Reason, Rejected};
pub use reply::{
    Article, ArticleDescription, ArticleTitle, BoundedText, Reply, ReplyAddress, ReplyBody,
    ReplyError, ReplyText, WebUrl,
};

use crate::event::Event;

use fields::{Fields, ReadError};
use query::{Query, SignedParams};
use reply::ReplyKey;

/// Verifies, decrypts and parses the pushes of one account.
#[derive(Debug, Clone)]
pub struct PushVerifier {
    credentials: Credentials,
    app_id: String,
}

/// How far the query alone proves the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuerySignature {
    /// The signature of the query is valid: the sender knows the Token, or replays a signed query
    /// within the replay window.
    Valid,
    /// The query proves nothing: only the signature over the body can.
    Unproven,
}

/// A verified push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The parsed message.
    pub content: Content,
    /// Where a reply to it goes. None for a message that does not name sender and receiver.
    pub reply_to: Option<ReplyAddress>,
    /// Whether only the previous key decrypted it: WeChat still uses the key that was replaced.
    pub needed_previous_key: bool,
}

/// The message of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A follow, scan or unfollow. Must be stored before it is acknowledged.
    Event(Event),
    /// Any other message. To be acknowledged.
    Other,
    /// A genuine push that cannot be parsed. To be acknowledged and counted: a repeat would not be
    /// different.
    Unreadable(MessageError),
}

impl PushVerifier {
    /// Maximum length of a body, in bytes. WeChat's are a few hundred bytes; a message with the
    /// longest text has about 7 KiB.
    pub const MAX_BODY: usize = 64 * 1024;

    /// Replay window: maximum difference between a push's timestamp and the clock, in seconds.
    /// Covers WeChat's retries and a slightly wrong clock.
    pub const REPLAY_WINDOW_SECONDS: u64 = 600;

    /// A verifier for one account.
    pub fn new(credentials: Credentials, app_id: impl Into<String>) -> Self {
        Self {
            credentials,
            app_id: app_id.into(),
        }
    }

    /// Verifies WeChat's URL verification request, and returns the `echostr` to answer, alone and
    /// as plain text. It is at most 1024 printable ASCII characters and is not signed: never answer
    /// it as HTML.
    ///
    /// `query` is the raw query, without the question mark.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn verify_url(&self, query: &str, now: Timestamp) -> Result<String, Rejected> {
        let parsed = Query::parse(query);
        let verified = parsed.as_ref().map_err(|reason| *reason).and_then(|query| {
            let echo = query.echo()?.to_owned();
            self.check_query_signature(query, now)?;
            Ok(echo)
        });
        verified.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
    }

    /// Builds the query of a URL verification request, as WeChat's console sends it.
    pub fn url_verification_query(&self, echo: &str, now: Timestamp) -> String {
        let timestamp = now.as_second().to_string();
        let nonce = "selfcheck";
        let token = self.credentials.token.expose();
        let signature = signature::compute(vec![token, &timestamp, nonce]);
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("signature", signature.as_str()),
                ("timestamp", &timestamp),
                ("nonce", nonce),
                ("echostr", echo),
            ])
            .finish()
    }

    /// Checks a push by its query alone, so that no body is read if the query can never be valid.
    /// `query` is the raw query, without the question mark.
    ///
    /// # Errors
    /// [`Rejected`], never for a push that [`PushVerifier::verify`] accepts.
    pub fn check_query(&self, query: &str, now: Timestamp) -> Result<QuerySignature, Rejected> {
        let parsed = Query::parse(query);
        let sender = parsed
            .as_ref()
            .map_err(|reason| *reason)
            .and_then(|query| self.sender(query, now));
        sender.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
    }

    fn sender(&self, query: &Query<'_>, now: Timestamp) -> Result<QuerySignature, Reason> {
        let params = query.signed_params()?;
        let signed = self.check_query_signature(query, now);
        if self.credentials.keys.is_none() {
            return signed.map(|()| QuerySignature::Valid);
        }
        match (signed, query.msg_signature()) {
            (Err(Reason::Stale), _) => Err(Reason::Stale),
            // A proxy dropped the signature of an encrypted push.
            (Ok(()), None) if query.declares_encryption() => Err(Reason::Signature),
            (Ok(()), None) => Err(Reason::Unencrypted),
            (_, Some(signature)) if !signature::is_well_formed(signature) => Err(Reason::Signature),
            (Ok(()), Some(_)) => Ok(QuerySignature::Valid),
            // WeChat also signs the query of encrypted pushes, but documents that only
            // `msg_signature`, which covers the body, is to be verified.
            (Err(_), Some(_)) if check_time(&params, now).is_ok() => Ok(QuerySignature::Unproven),
            (Err(reason), _) => Err(reason),
        }
    }

    /// Verifies and parses a push. `query` is the raw query, without the question mark; the body
    /// itself decides between XML and JSON.
    ///
    /// With an AES key, only the encrypted part is read, whatever plain fields there are.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn verify(&self, query: &str, body: &[u8], now: Timestamp) -> Result<Push, Rejected> {
        let parsed = Query::parse(query);
        let opened = parsed.as_ref().map_err(|reason| *reason).and_then(|query| {
            if body.len() > Self::MAX_BODY {
                return Err(Reason::TooLarge);
            }
            match &self.credentials.keys {
                None => self.verify_plain(query, body, now),
                Some(keys) => self.verify_encrypted(keys, query, body, now),
            }
        });
        opened.map_err(|reason| self.refused(reason, parsed.as_ref().ok(), now))
    }

    fn refused(&self, reason: Reason, query: Option<&Query<'_>>, now: Timestamp) -> Rejected {
        Rejected {
            reason,
            diagnosis: self.diagnose(reason, query, now),
        }
    }

    /// The diagnosis of a rejection. It depends on reason and query only, not on how much of the
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
        let Some(params) = query.and_then(|query| query.signed_params().ok()) else {
            return Some(Diagnosis::Unsigned);
        };
        let Some(signature) = query.and_then(Query::signature) else {
            return Some(Diagnosis::Unsigned);
        };
        if self
            .check_signature(signature, &[params.timestamp, params.nonce])
            .is_err()
        {
            return Some(Diagnosis::OtherToken);
        }
        Some(match check_time(&params, now) {
            Ok(()) => Diagnosis::Altered,
            Err(_) => Diagnosis::Clock {
                ahead_seconds: now.as_second() - params.seconds,
            },
        })
    }

    fn verify_plain(&self, query: &Query<'_>, body: &[u8], now: Timestamp) -> Result<Push, Reason> {
        self.check_query_signature(query, now)?;
        let message = document::read(body);
        Ok(Push {
            reply_to: reply_to(&message, ReplyKey::None),
            content: content(message)?,
            needed_previous_key: false,
        })
    }

    fn verify_encrypted(
        &self,
        keys: &AesKeys,
        query: &Query<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Push, Reason> {
        let envelope = document::read(body).map_err(|unread| match unread {
            ReadError::Forbidden => Reason::Markup,
            ReadError::Malformed(_) => Reason::Envelope,
        })?;
        let Some(sealed) = envelope.get(Field::Encrypt) else {
            self.check_query_signature(query, now)?;
            return Err(Reason::Unencrypted);
        };
        let params = query.signed_params()?;
        // Before decryption: CBC does not authenticate.
        let signature = query.msg_signature().ok_or(Reason::Signature)?;
        self.check_signature(signature, &[params.timestamp, params.nonce, sealed])?;
        check_time(&params, now)?;
        let opened = cipher::open(sealed, keys, &self.app_id)?;
        let message = document::read(&opened.message);
        if message
            .as_ref()
            .is_ok_and(|fields| is_swapped(&params, fields))
        {
            return Err(Reason::Swapped);
        }
        let key = if opened.needed_previous_key {
            ReplyKey::Previous
        } else {
            ReplyKey::Current
        };
        Ok(Push {
            reply_to: reply_to(&message, key),
            content: content(message)?,
            needed_previous_key: opened.needed_previous_key,
        })
    }

    /// Verifies the signature over timestamp and nonce.
    fn check_query_signature(&self, query: &Query<'_>, now: Timestamp) -> Result<(), Reason> {
        let params = query.signed_params()?;
        let signature = query.signature().ok_or(Reason::Signature)?;
        self.check_signature(signature, &[params.timestamp, params.nonce])?;
        check_time(&params, now)
    }

    fn check_signature(&self, given: &str, parts: &[&str]) -> Result<(), Reason> {
        let parts = [&[self.credentials.token.expose()], parts].concat();
        if signature::verify(given, parts) {
            Ok(())
        } else {
            Err(Reason::Signature)
        }
    }
}

/// Refuses a replayed push by its time. Checked after the signature, so that the reason separates
/// an old push or a wrong clock from a forgery.
fn check_time(params: &SignedParams<'_>, now: Timestamp) -> Result<(), Reason> {
    if params.seconds.abs_diff(now.as_second()) <= PushVerifier::REPLAY_WINDOW_SECONDS {
        Ok(())
    } else {
        Err(Reason::Stale)
    }
}

/// Whether the signature was made for another timestamp than the query's.
///
/// WeChat's signature covers the concatenation of its sorted parts, so it stays valid if
/// `timestamp` and `nonce` are exchanged or digits move between them. An old nonce that resembles
/// the present time would bring an old push into the replay window. The encrypted message has a
/// time of its own: if another split of the same digits is nearer to it than the query's timestamp,
/// the push is a replay. In a genuine push both times are seconds apart; at ten minutes apart, a
/// random nonce would be nearer with a probability below one in a million.
fn is_swapped(params: &SignedParams<'_>, message: &Fields) -> bool {
    let Some(created) = message.get(Field::CreateTime).and_then(event::unix_time) else {
        return false;
    };
    let distance = |seconds: i64| seconds.abs_diff(created.as_second());
    let mut parts = [params.timestamp, params.nonce];
    parts.sort_unstable();
    let digits = parts.concat();
    // Unix times from 2001 to 2286 have ten digits.
    let first = digits.get(..10);
    let last = digits.get(digits.len().saturating_sub(10)..);
    [first, last]
        .into_iter()
        .flatten()
        .filter_map(|digits| digits.parse().ok())
        .any(|seconds| distance(seconds) < distance(params.seconds))
}

fn reply_to(message: &Result<Fields, ReadError>, key: ReplyKey) -> Option<ReplyAddress> {
    ReplyAddress::of(message.as_ref().ok()?, key)
}

/// Converts a verified message.
fn content(message: Result<Fields, ReadError>) -> Result<Content, Reason> {
    let read = message.and_then(|fields| Ok(event::read(&fields)?));
    match read {
        Ok(Some(event)) => Ok(Content::Event(event)),
        Ok(None) => Ok(Content::Other),
        Err(ReadError::Malformed(error)) => Ok(Content::Unreadable(error)),
        Err(ReadError::Forbidden) => Err(Reason::Markup),
    }
}
