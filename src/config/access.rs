//! Settings of access control: access mode, signed links, rate limits, trusted proxies.

use super::error::InvalidValue;
use super::reader::{Reader, Reported};
use super::settings;
use super::values::PublicUrl;
use crate::access::{LinkKeys, Mode, Rate, TrustedProxies};

/// Access control for visitors without a key.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// The access mode for temporary codes. [`Mode::Signed`] implies at least one link key.
    pub mode: Mode,
    pub link_keys: LinkKeys,
    pub visitor_rate: Rate,
    /// Rate limit of all visitors together.
    pub visitor_pace: Rate,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
}

/// Settings of `wxqr sign`.
#[derive(Debug, Clone)]
pub struct SigningSettings {
    /// At least one key.
    pub link_keys: LinkKeys,
    /// Base URL of the service's links; `None`: links are relative.
    pub public_url: Option<PublicUrl>,
}

impl Reader<'_> {
    pub(super) fn access(&mut self) -> Result<AccessSettings, Reported> {
        let mode = self.required(&settings::ACCESS);
        let link_keys = self.optional(&settings::LINK_KEYS);
        let visitor_rate = self.required(&settings::VISITOR_RATE);
        let visitor_pace = self.required(&settings::VISITOR_PACE);
        let trusted_proxies = self.optional(&settings::TRUSTED_PROXIES);
        if let (Ok(Mode::Signed), Ok(None)) = (&mode, &link_keys) {
            let invalid = InvalidValue::new("is required with WXQR_ACCESS=signed", LinkKeys::FORM);
            self.report("link-keys", &invalid);
        }
        Ok(AccessSettings {
            mode: mode?,
            link_keys: link_keys?.unwrap_or_default(),
            visitor_rate: visitor_rate?,
            visitor_pace: visitor_pace?,
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
        })
    }

    pub(super) fn signing(&mut self) -> Result<SigningSettings, Reported> {
        let link_keys = self.required(&settings::LINK_KEYS);
        let public_url = self.optional(&settings::PUBLIC_URL);
        Ok(SigningSettings {
            link_keys: link_keys?,
            public_url: public_url?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{ArgMatches, Command};

    use super::*;
    use crate::config::{Config, Effective, flags};

    const ACCOUNT: [(&str, &str); 2] = [
        ("WXQR_APP_ID", "wx0123456789abcdef"),
        ("WXQR_APP_SECRET", "an-app-secret"),
    ];

    fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        let owned = variables.iter().map(|(n, v)| (n.into(), v.into()));
        owned.collect()
    }

    fn matches(given: &[&str]) -> ArgMatches {
        flags(Command::new("serve").no_binary_name(true)).get_matches_from(given)
    }

    fn load(more: &[(&str, &str)]) -> Result<(AccessSettings, Effective), String> {
        let variables = [&ACCOUNT[..], more].concat();
        let loaded = Config::load(&matches(&[]), environment(&variables));
        loaded
            .map(|(config, effective)| (config.access, effective))
            .map_err(|errors| errors.to_string())
    }

    fn sign(given: &[&str], variables: &[(&str, &str)]) -> Result<SigningSettings, String> {
        let loaded = Config::load_signing(&matches(given), environment(variables));
        loaded.map_err(|errors| errors.to_string())
    }

    #[test]
    fn by_default_every_visitor_may_mint_and_no_proxy_is_believed() {
        let (access, _) = load(&[]).unwrap();
        assert_eq!(access.mode, Mode::Open);
        assert!(access.link_keys.is_empty());
        assert_eq!(Ok(access.visitor_rate), "30/1m".parse());
        assert_eq!(Ok(access.visitor_pace), "100/1s".parse());
        assert_eq!(access.trusted_proxies, TrustedProxies::default());
    }

    #[test]
    fn every_access_mode_is_read() {
        for (text, want) in [
            ("open", Mode::Open),
            ("signed", Mode::Signed),
            ("keyed", Mode::Keyed),
        ] {
            let given = [("WXQR_ACCESS", text), ("WXQR_LINK_KEYS", "link-key-1")];
            assert_eq!(load(&given).unwrap().0.mode, want);
        }
    }

    #[test]
    fn signed_access_needs_a_link_key() {
        let got = load(&[("WXQR_ACCESS", "signed")]).unwrap_err();
        assert!(
            got.starts_with("WXQR_LINK_KEYS: is required with WXQR_ACCESS=signed; accepted: "),
            "{got}"
        );
        assert_eq!(got.lines().count(), 1, "{got}");
        for mode in ["open", "keyed"] {
            assert!(load(&[("WXQR_ACCESS", mode)]).is_ok(), "{mode}");
        }
        let short = [("WXQR_ACCESS", "signed"), ("WXQR_LINK_KEYS", "link-key")];
        let got = load(&short).unwrap_err();
        assert_eq!(got.lines().count(), 1, "one error, not two: {got}");
    }

    #[test]
    fn all_errors_are_reported_and_none_quotes_its_value() {
        for (name, value, want) in [
            ("WXQR_ACCESS", "Signed", "is not an access mode"),
            (
                "WXQR_LINK_KEYS",
                "s3cret-s3cret,s3cret",
                "key 2 has less than 10",
            ),
            (
                "WXQR_LINK_KEYS",
                "s3cret-s3cret,s3cret-s3cret",
                "key 2 is the same",
            ),
            ("WXQR_LINK_KEYS", "s3cret s3cret", "key 1 has a space"),
            ("WXQR_LINK_KEYS_FILE", "/s3cret", "cannot be read"),
            ("WXQR_VISITOR_RATE", "0/1m", "WXQR_ACCESS=keyed"),
            ("WXQR_VISITOR_RATE", "s3cret", "is not a rate"),
            ("WXQR_VISITOR_RATE", "30/1y", "duration that is out"),
            ("WXQR_VISITOR_PACE", "1000001/1s", "number that is out"),
            ("WXQR_TRUSTED_PROXIES", "10.0.0.0/8,s3cret", "entry 2"),
            ("WXQR_TRUSTED_PROXIES", "10.0.0.1/8", "bits set"),
        ] {
            let got = load(&[(name, value)]).unwrap_err();
            assert!(got.starts_with(&format!("{name}: ")), "{got}");
            assert!(got.contains(want) && got.contains("accepted: "), "{got}");
            assert!(!got.contains("s3cret"), "{got}");
        }
        let all = [
            ("WXQR_ACCESS", "x"),
            ("WXQR_LINK_KEYS", "x"),
            ("WXQR_VISITOR_RATE", "x"),
            ("WXQR_VISITOR_PACE", "x"),
            ("WXQR_TRUSTED_PROXIES", "x"),
        ];
        let got = load(&all).unwrap_err();
        assert_eq!(got.lines().count(), all.len(), "{got}");
    }

    #[test]
    fn link_keys_are_never_shown() {
        let (access, effective) = load(&[("WXQR_LINK_KEYS", "s3cret-s3cret")]).unwrap();
        let shown = format!("{access:?} {effective:?} {effective}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let settings = sign(&[], &[("WXQR_LINK_KEYS", "s3cret-s3cret")]).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"), "{settings:?}");
    }

    #[test]
    fn signing_needs_link_keys_and_nothing_else() {
        let key = ("WXQR_LINK_KEYS", "link-key-1");
        for (given, variables, want) in [
            (&[][..], &[key][..], Ok(None)),
            (
                &[],
                &[key, ("WXQR_PUBLIC_URL", "https://qr.example.com/wx/")],
                Ok(Some("https://qr.example.com/wx")),
            ),
            (&["--link-keys", "link-key-1"], &[], Ok(None)),
            (
                &[],
                &[key, ("WXQR_REUSE", "2"), ("WXQR_LISTN", "x")],
                Ok(None),
            ),
            (&[], &[], Err(vec!["WXQR_LINK_KEYS: is required"])),
            (
                &[],
                &[("WXQR_LINK_KEY", "link-key-1")],
                Err(vec!["WXQR_LINK_KEYS: ", "WXQR_LINK_KEY: is not a setting"]),
            ),
            (
                &[],
                &[("WXQR_LINK_KEYS", "short"), ("WXQR_PUBLIC_URL", "x")],
                Err(vec!["WXQR_LINK_KEYS: ", "WXQR_PUBLIC_URL: "]),
            ),
        ] {
            let got = sign(given, variables);
            match (&got, &want) {
                (Ok(got), Ok(want)) => {
                    assert!(!got.link_keys.is_empty());
                    assert_eq!(got.public_url.as_ref().map(PublicUrl::as_str), *want);
                }
                (Err(got), Err(want)) => {
                    assert_eq!(got.lines().count(), want.len(), "{got}");
                    for (line, start) in got.lines().zip(want) {
                        assert!(line.starts_with(start), "{line}");
                    }
                }
                _ => panic!("{variables:?}: {got:?}"),
            }
        }
    }
}
