//! Settings of webhooks.

use super::reader::{Reader, Reported};
use super::settings;
use crate::webhooks::WebhookSettings;

impl Reader<'_> {
    /// The receiver and what signs for it. Without a callback there are no events to send.
    pub(super) fn webhook(
        &mut self,
        has_callback: bool,
    ) -> Result<Option<WebhookSettings>, Reported> {
        let url = self.optional(&settings::WEBHOOK_URL);
        let secrets = self.optional(&settings::WEBHOOK_SECRET);
        let with_openids = self.required(&settings::WEBHOOK_OPENID);
        match (url?, secrets?, with_openids?) {
            (None, None, false) => Ok(None),
            (None, None, true) => Err(self.refuse_alone("webhook-openid", "WXQR_WEBHOOK_URL")),
            (None, Some(_), _) => Err(self.refuse_alone("webhook-secret", "WXQR_WEBHOOK_URL")),
            (Some(_), None, _) => Err(self.refuse_alone("webhook-url", "WXQR_WEBHOOK_SECRET")),
            (Some(_), Some(_), _) if !has_callback => {
                Err(self.refuse_alone("webhook-url", "WXQR_CALLBACK_TOKEN"))
            }
            (Some(url), Some(secrets), with_openids) => Ok(Some(WebhookSettings {
                url,
                secrets,
                with_openids,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::{Config, flags};

    const TOKEN: (&str, &str) = ("WXQR_CALLBACK_TOKEN", "callbacktoken");
    const URL: (&str, &str) = (
        "WXQR_WEBHOOK_URL",
        "https://hooks.example.com/CANARY?a=CANARY",
    );
    const SECRET: (&str, &str) = (
        "WXQR_WEBHOOK_SECRET",
        "whsec_CANARYabcdefghijklmnopqrstuvwxyz",
    );
    const OPENID: (&str, &str) = ("WXQR_WEBHOOK_OPENID", "true");

    /// The settings and what `wxqr config` shows, or the errors; none may quote a secret.
    fn load(more: &[(&str, &str)]) -> Result<(Option<WebhookSettings>, String), String> {
        let account = [
            ("WXQR_APP_ID", "wx0123456789abcdef"),
            ("WXQR_APP_SECRET", "x"),
        ];
        let variables = [&account, more].concat();
        let environment = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let flags = flags(Command::new("serve").no_binary_name(true));
        let loaded = Config::load(&flags.get_matches_from([""; 0]), environment);
        let said = format!("{loaded:?}");
        assert!(!said.contains("CANARY"), "{said}");
        loaded
            .map(|(config, effective)| (config.webhook, effective.to_string()))
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_receiver_has_a_secret_and_openids_only_where_it_is_set() {
        assert!(load(&[TOKEN]).unwrap().0.is_none());
        for (more, with_openids) in [(&[][..], false), (&[OPENID], true)] {
            let given = [&[TOKEN, URL, SECRET], more].concat();
            let (settings, shown) = load(&given).unwrap();
            assert_eq!(settings.unwrap().with_openids, with_openids);
            assert!(
                shown.contains("https://hooks.example.com/********"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_works_only_together_is_given_together() {
        for (given, want) in [
            (
                &[TOKEN, URL][..],
                "WXQR_WEBHOOK_URL: is given without WXQR_WEBHOOK_SECRET",
            ),
            (
                &[TOKEN, SECRET],
                "WXQR_WEBHOOK_SECRET: is given without WXQR_WEBHOOK_URL",
            ),
            (
                &[TOKEN, OPENID],
                "WXQR_WEBHOOK_OPENID: is given without WXQR_WEBHOOK_URL",
            ),
            (
                &[URL, SECRET],
                "WXQR_WEBHOOK_URL: is given without WXQR_CALLBACK_TOKEN",
            ),
            (
                &[TOKEN, SECRET, ("WXQR_WEBHOOK_URL", "CANARY")],
                "WXQR_WEBHOOK_URL: does not begin with https:// or http://; accepted: https://",
            ),
            (
                &[TOKEN, URL, ("WXQR_WEBHOOK_SECRET", "CANARY")],
                "WXQR_WEBHOOK_SECRET: secret 1 does not begin with whsec_; accepted: comma-separated",
            ),
            (
                &[TOKEN, URL, SECRET, ("WXQR_WEBHOOK_OPENID", "yes")],
                "WXQR_WEBHOOK_OPENID: is neither true nor false",
            ),
        ] {
            let got = load(given).map(|_| ()).unwrap_err();
            assert!(got.starts_with(want), "{given:?}: {got}");
            assert_eq!(got.lines().count(), 1, "{got}");
        }
    }
}
