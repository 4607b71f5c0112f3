//! The push that delivers an event to a callback: its query, signature and body.

pub(crate) mod callback;
mod cipher;
mod client;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod reply;
pub(crate) mod response;

use jiff::Timestamp;
use url::Url;
use url::form_urlencoded::byte_serialize;

use self::callback::{Callback, DataFormat, EncodingAesKey, Mode};
use self::event::{Event, Fields, account_name, as_json, as_xml};
use crate::random;

/// A signed request to a callback, not sent yet: a POST of `body` to `url`.
///
/// It holds its time, so a callback that refuses replays accepts it for some minutes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The callback's address with the whole query, its own included.
    pub url: Url,
    /// The parameters that WeChat adds to the query.
    pub query: String,
    /// The message, encrypted or not.
    pub body: String,
    /// `text/xml` or `application/json`.
    pub content_type: &'static str,
}

/// The parameters that every signature covers.
struct SignedParams {
    timestamp: String,
    nonce: String,
}

impl SignedParams {
    fn new(now: Timestamp) -> Self {
        Self {
            timestamp: now.as_second().to_string(),
            nonce: u32::from_be_bytes(random::bytes()).to_string(),
        }
    }

    /// The query parameters that every request of WeChat has.
    fn query(&self, callback: &Callback) -> String {
        let Self { timestamp, nonce } = self;
        let signature = self.signature(callback, &[]);
        format!("signature={signature}&timestamp={timestamp}&nonce={nonce}")
    }

    fn signature(&self, callback: &Callback, more: &[&str]) -> String {
        let signed = [callback.token.as_str(), &self.timestamp, &self.nonce];
        cipher::signature([&signed[..], more].concat())
    }
}

impl Push {
    /// Writes the message of an event, and signs and encrypts it as the callback is configured,
    /// with new randomness.
    pub(crate) fn compose(
        callback: &Callback,
        app_id: &str,
        event: &Event,
        now: Timestamp,
    ) -> Self {
        let signed = SignedParams::new(now);
        let openid: String = byte_serialize(event.openid.as_bytes()).collect();
        let mut query = format!("{}&openid={openid}", signed.query(callback));
        let mut fields = event.fields(app_id);
        if let Some(key) = callback.mode.key() {
            let encrypted = encrypted(key, callback.format, &fields, app_id);
            let signature = signed.signature(callback, &[&encrypted]);
            query.extend(["&encrypt_type=aes&msg_signature=", &signature]);
            if matches!(callback.mode, Mode::Safe(_)) {
                fields = vec![("ToUserName", account_name(app_id).into())];
            }
            fields.push(("Encrypt", encrypted.into()));
        }
        Self {
            url: with_query(&callback.url, &query),
            query,
            body: written(&fields, callback.format),
            content_type: match callback.format {
                DataFormat::Xml => "text/xml",
                DataFormat::Json => "application/json",
            },
        }
    }
}

/// The URL of the console's verification request, which a genuine callback answers with `echo`.
///
/// Nothing is encrypted in it, whatever the mode.
pub(crate) fn verification_url(callback: &Callback, echo: &str, now: Timestamp) -> Url {
    let query = SignedParams::new(now).query(callback);
    with_query(&callback.url, &format!("{query}&echostr={echo}"))
}

fn encrypted(key: &EncodingAesKey, format: DataFormat, fields: &Fields, app_id: &str) -> String {
    let message = written(fields, format);
    cipher::encrypt(key.bytes(), random::bytes(), &message, app_id)
}

fn written(fields: &Fields, format: DataFormat) -> String {
    match format {
        DataFormat::Xml => as_xml(fields),
        DataFormat::Json => as_json(fields),
    }
}

fn with_query(url: &Url, query: &str) -> Url {
    let query = match url.query() {
        Some(own) if !own.is_empty() => format!("{own}&{query}"),
        _ => query.to_owned(),
    };
    let mut url = url.clone();
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::callback::CallbackToken;
    use crate::push::event::EventKind;

    fn callback(url: &str, mode: Mode) -> Callback {
        Callback {
            url: url.parse().unwrap(),
            token: CallbackToken::random(),
            mode,
            format: DataFormat::Xml,
        }
    }

    fn composed(callback: &Callback) -> Push {
        let event = Event {
            openid: "o6_b".to_owned(),
            created_at: "2026-11-22T04:00:00Z".parse().unwrap(),
            kind: EventKind::Unsubscribe,
        };
        let now = "2026-11-22T04:00:07Z".parse().unwrap();
        Push::compose(callback, "wx1", &event, now)
    }

    fn names(query: &str) -> Vec<&str> {
        let pairs = query.split('&');
        pairs.map(|pair| pair.split('=').next().unwrap()).collect()
    }

    #[test]
    fn each_mode_sends_what_it_is_documented_to_send() {
        let key = EncodingAesKey::random;
        let plain = ["signature", "timestamp", "nonce", "openid"];
        let signed = [&plain[..], &["encrypt_type", "msg_signature"]].concat();
        for (mode, parameters, is_clear, is_encrypted) in [
            (Mode::Plain, &plain[..], true, false),
            (Mode::Compatible(key()), &signed[..], true, true),
            (Mode::Safe(key()), &signed[..], false, true),
        ] {
            let push = composed(&callback("http://localhost/callback", mode));
            assert_eq!(names(&push.query), parameters);
            assert!(push.query.contains("timestamp=1795320007&"), "{push:?}");
            let (body, has) = (&push.body, |text| push.body.contains(text));
            assert_eq!(has("unsubscribe"), is_clear, "{body}");
            assert_eq!(has("o6_b"), is_clear, "{body}");
            assert_eq!(has("<Encrypt>"), is_encrypted, "{body}");
            assert!(has("<ToUserName>"), "{body}");
        }
    }

    #[test]
    fn no_two_requests_are_alike() {
        let safe = callback("http://localhost/", Mode::Safe(EncodingAesKey::random()));
        let (one, other) = (composed(&safe), composed(&safe));
        assert_ne!(one.query, other.query);
        assert_ne!(one.body, other.body);
    }

    #[test]
    fn the_callbacks_own_query_is_kept() {
        for (url, want) in [
            ("http://localhost/", "http://localhost/?signature="),
            ("http://localhost/x?", "http://localhost/x?signature="),
            (
                "http://localhost/x?id=%31&a=b",
                "http://localhost/x?id=%31&a=b&signature=",
            ),
        ] {
            let callback = callback(url, Mode::Plain);
            let push = composed(&callback);
            assert!(push.url.as_str().starts_with(want), "{}", push.url);
            assert!(push.url.as_str().ends_with(&push.query), "{}", push.url);
            let asked = verification_url(&callback, "42", Timestamp::UNIX_EPOCH);
            assert!(asked.as_str().starts_with(want), "{asked}");
            assert!(asked.as_str().ends_with("&echostr=42"), "{asked}");
        }
    }
}
