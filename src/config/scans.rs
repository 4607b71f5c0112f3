//! Settings of callback, relay and statistics.

use std::time::Duration;

use jiff::tz::Offset;
use url::Url;
use wechat::push::{AesKeys, Credentials, ReplyText};

use super::error::InvalidValue;
use super::reader::{Reader, Reported};
use super::settings;
use super::values::PublicUrl;
use super::values::scans::RELAY_FORM;
use crate::statistics::PersonKey;

/// Callback, relay and statistics.
#[derive(Debug, Clone)]
pub struct ScanSettings {
    /// Secrets that verify pushes; `None`: the callback is off.
    pub callback: Option<Credentials>,
    /// Existing message server to relay pushes to. Requires the callback.
    pub relay: Option<Url>,
    /// What a new follower gets. Requires the callback.
    pub default_reply: Option<ReplyText>,
    /// UTC offset of the days in the statistics.
    pub time_zone: Offset,
    /// How long events and openids are kept.
    pub retention: Duration,
    /// Key of the followers' pseudonyms; `None`: the one in the database.
    pub person_key: Option<PersonKey>,
}

impl Reader<'_> {
    pub(super) fn scans(
        &mut self,
        public_url: &Result<Option<PublicUrl>, Reported>,
    ) -> Result<ScanSettings, Reported> {
        let callback = self.callback();
        let relay = self.relay(&callback, public_url);
        let default_reply = self.default_reply(&callback);
        let time_zone = self.required(&settings::TIME_ZONE);
        let retention = self.required(&settings::RETENTION);
        let person_key = self.optional(&settings::PERSON_KEY);
        Ok(ScanSettings {
            callback: callback?,
            relay: relay?,
            default_reply: default_reply?,
            time_zone: time_zone?,
            retention: retention?,
            person_key: person_key?,
        })
    }

    fn callback(&mut self) -> Result<Option<Credentials>, Reported> {
        let token = self.optional(&settings::CALLBACK_TOKEN);
        let current = self.optional(&settings::ENCODING_AES_KEY);
        let previous = self.optional(&settings::ENCODING_AES_KEY_PREVIOUS);
        let (token, current, previous) = (token?, current?, previous?);
        if previous.is_some() && current.is_none() {
            return Err(self.refuse_alone("encoding-aes-key-previous", "WXQR_ENCODING_AES_KEY"));
        }
        if current.is_some() && token.is_none() {
            return Err(self.refuse_alone("encoding-aes-key", "WXQR_CALLBACK_TOKEN"));
        }
        let keys = current.map(|current| AesKeys { current, previous });
        Ok(token.map(|token| Credentials { token, keys }))
    }

    fn relay(
        &mut self,
        callback: &Result<Option<Credentials>, Reported>,
        public_url: &Result<Option<PublicUrl>, Reported>,
    ) -> Result<Option<Url>, Reported> {
        let relay = self.optional(&settings::RELAY_URL)?;
        let (Some(url), Ok(callback)) = (&relay, callback) else {
            return Ok(relay);
        };
        if callback.is_none() {
            return Err(self.refuse_alone("relay-url", "WXQR_CALLBACK_TOKEN"));
        }
        if let Ok(Some(public_url)) = public_url
            && is_our_callback(url, public_url)
        {
            let invalid = InvalidValue::new("is the callback of this service itself", RELAY_FORM);
            return Err(self.report("relay-url", &invalid));
        }
        Ok(relay)
    }

    fn default_reply(
        &mut self,
        callback: &Result<Option<Credentials>, Reported>,
    ) -> Result<Option<ReplyText>, Reported> {
        let reply = self.optional(&settings::DEFAULT_REPLY)?;
        if reply.is_some() && matches!(callback, Ok(None)) {
            return Err(self.refuse_alone("default-reply", "WXQR_CALLBACK_TOKEN"));
        }
        Ok(reply)
    }
}

fn is_our_callback(relay: &Url, ours: &PublicUrl) -> bool {
    let is_ours = |ours: Url| ours.origin() == relay.origin() && ours.path() == relay.path();
    Url::parse(&format!("{}/callback", ours.as_str())).is_ok_and(is_ours)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::values::scans::relay_url;
    use crate::config::{Config, flags};

    const DAY: Duration = Duration::from_hours(24);

    const TOKEN: (&str, &str) = ("WXQR_CALLBACK_TOKEN", "CANARYtoken");
    const KEY: (&str, &str) = (
        "WXQR_ENCODING_AES_KEY",
        "CANARYcurrent23456789abcdefghijklmnopqrstuv",
    );
    const PREVIOUS: (&str, &str) = (
        "WXQR_ENCODING_AES_KEY_PREVIOUS",
        "CANARYbefore123456789abcdefghijklmnopqrstuv",
    );
    const RELAY: (&str, &str) = ("WXQR_RELAY_URL", "https://old.example.com/wx.php?id=1");
    const PUBLIC: (&str, &str) = ("WXQR_PUBLIC_URL", "https://qr.example.com/wx");

    /// The settings, or the errors; neither may quote a secret.
    fn load(more: &[(&str, &str)]) -> Result<ScanSettings, String> {
        let account = [
            ("WXQR_APP_ID", "wx0123456789abcdef"),
            ("WXQR_APP_SECRET", "x"),
        ];
        let variables = [&account, more].concat();
        let environment = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let flags = flags(Command::new("serve").no_binary_name(true));
        let flags = flags.get_matches_from([""; 0]);
        let loaded = Config::load(&flags, environment);
        let said = format!("{loaded:?}");
        assert!(!said.contains("CANARY"), "{said}");
        loaded
            .map(|(config, _)| config.scans)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_callback_is_off_until_it_has_a_token() {
        let settings = load(&[]).unwrap();
        assert!(settings.callback.is_none() && settings.relay.is_none());
        assert_eq!(settings.time_zone, Offset::constant(8));
        assert_eq!(settings.retention, DAY * 400);
        for (given, want) in [
            (vec![TOKEN], (false, false)),
            (vec![TOKEN, KEY], (true, false)),
            (vec![TOKEN, KEY, PREVIOUS, RELAY], (true, true)),
        ] {
            let settings = load(&given).unwrap();
            let keys = settings.callback.unwrap().keys;
            let previous = keys.as_ref().and_then(|keys| keys.previous.as_ref());
            assert_eq!((keys.is_some(), previous.is_some()), want, "{given:?}");
            assert_eq!(settings.relay.is_some(), given.contains(&RELAY));
        }
    }

    #[test]
    fn what_works_only_together_is_given_together() {
        let own = ("WXQR_RELAY_URL", "https://qr.example.com/wx/callback?a=b");
        let neighbour = ("WXQR_RELAY_URL", "https://qr.example.com/callback");
        let bad = ("WXQR_CALLBACK_TOKEN", "no");
        for (given, want) in [
            (
                vec![KEY],
                Some("WXQR_ENCODING_AES_KEY: is given without WXQR_CALLBACK_TOKEN"),
            ),
            (
                vec![TOKEN, PREVIOUS],
                Some("WXQR_ENCODING_AES_KEY_PREVIOUS: is given without WXQR_ENCODING_AES_KEY;"),
            ),
            (
                vec![PREVIOUS],
                Some("WXQR_ENCODING_AES_KEY_PREVIOUS: is given without"),
            ),
            (
                vec![RELAY],
                Some("WXQR_RELAY_URL: is given without WXQR_CALLBACK_TOKEN"),
            ),
            (
                vec![TOKEN, PUBLIC, own],
                Some("WXQR_RELAY_URL: is the callback of this service"),
            ),
            (vec![TOKEN, PUBLIC, neighbour], None),
            (
                vec![bad, KEY, RELAY],
                Some("WXQR_CALLBACK_TOKEN: is not a callback token;"),
            ),
        ] {
            let got = load(&given).map(|_| ());
            match want {
                None => assert_eq!(got, Ok(()), "{given:?}"),
                Some(want) => {
                    let got = got.unwrap_err();
                    assert!(got.starts_with(want), "{given:?}: {got}");
                    assert_eq!(got.lines().count(), 1, "{got}");
                }
            }
        }
    }

    /// The table of settings has the limit as a word, because it is made of constants.
    #[test]
    fn the_help_of_the_default_reply_names_the_limit_of_a_text() {
        let limit = format!("1 to {} characters", ReplyText::MAX_CHARS);
        let help = settings::DEFAULT_REPLY.description().help();
        assert!(help.contains(&limit), "{help}");
    }

    #[test]
    fn a_key_of_the_wrong_length_says_so() {
        let got = load(&[TOKEN, ("WXQR_ENCODING_AES_KEY", &KEY.1[1..])]).unwrap_err();
        assert!(got.contains("has 42 bytes instead of 43"), "{got}");
        assert!(got.contains("accepted: 43 characters of base64"), "{got}");
    }

    #[test]
    fn a_relay_is_a_url_with_whatever_its_owner_needs() {
        for (text, want) in [
            ("https://old.example.com", Some("https://old.example.com/")),
            ("http://127.0.0.1:8000/wx", Some("http://127.0.0.1:8000/wx")),
            (
                "https://old.example.com/api.php?id=1&m=a%20b",
                Some("https://old.example.com/api.php?id=1&m=a%20b"),
            ),
            (
                "https://old.example.com/?",
                Some("https://old.example.com/?"),
            ),
            ("https://old.example.com/#top", None),
            ("https://old.example.com/?a=b#top", None),
            ("https://old.example.com/?a=b c", None),
            ("https://me:word@old.example.com/", None),
            ("ftp://old.example.com/", None),
            ("old.example.com", None),
        ] {
            let got = relay_url(text).ok();
            assert_eq!(got.as_ref().map(Url::as_str), want, "input {text:?}");
        }
    }

    #[test]
    fn a_time_zone_is_a_distance_from_utc() {
        for (text, want) in [
            ("+08:00", Some(28_800)),
            ("-03:30", Some(-12_600)),
            ("+00:00", Some(0)),
            ("-00:00", Some(0)),
            ("+14:00", Some(50_400)),
            ("-12:00", Some(-43_200)),
            ("+14:01", None),
            ("-12:01", None),
            ("+05:60", None),
            ("+8:00", None),
            ("08:00", None),
            ("+0800", None),
            ("+08:00:00", None),
            ("++8:00", None),
            ("Asia/Shanghai", None),
            ("中", None),
            ("+中:00", None),
        ] {
            let got = settings::TIME_ZONE.parse(text).ok().map(Offset::seconds);
            assert_eq!(got, want, "input {text:?}");
        }
    }

    #[test]
    fn a_person_key_has_32_bytes_and_is_not_quoted() {
        let hex = "0123456789abcdef".repeat(4);
        for key in [hex.as_str(), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="] {
            assert!(
                load(&[("WXQR_PERSON_KEY", key)])
                    .unwrap()
                    .person_key
                    .is_some()
            );
        }
        assert!(load(&[]).unwrap().person_key.is_none());
        for bad in [
            "CANARY",
            "CANARY0123456789abcdefghijklmnopqrstuvwxyz0123456789",
        ] {
            let said = load(&[("WXQR_PERSON_KEY", bad)]).unwrap_err();
            let want = "WXQR_PERSON_KEY: is not a key of 32 bytes; accepted: 32 random bytes, as 64 hex digits";
            assert!(said.starts_with(want), "{said}");
        }
    }

    #[test]
    fn a_retention_has_days() {
        for (text, want) in [
            ("1d", Some(1)),
            ("48h", Some(2)),
            ("400d", Some(400)),
            ("3650d", Some(3650)),
            ("3650d 1s", None),
            ("23h", None),
            ("400", None),
            ("ever", None),
        ] {
            let got = settings::RETENTION.parse(text).ok();
            assert_eq!(got, want.map(|days| DAY * days), "input {text:?}");
        }
    }
}
