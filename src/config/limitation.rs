//! Start-up warnings: features that the settings leave off, or access that they leave open.

use super::Config;
use crate::access::{Mode, Scope};

/// A feature that is off, or access that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limitation {
    /// Subject in one word.
    pub subject: &'static str,
    /// What is off or open, and the consequence.
    pub costs: String,
    /// What to change if it is not intended.
    pub action: &'static str,
}

impl Config {
    /// All limitations of these settings, each once.
    pub fn limitations(&self) -> Vec<Limitation> {
        [
            self.callback_limitation(),
            self.key_limitation(),
            self.scope_limitation(Scope::Permanent),
            self.scope_limitation(Scope::Stats),
            self.access_limitation(),
            self.webhook_limitation(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn callback_limitation(&self) -> Option<Limitation> {
        let (costs, action) = match &self.scans.callback {
            None => (
                "the callback is off: no scan is counted, and sign-in by a scan does not work",
                "set WXQR_CALLBACK_TOKEN and WXQR_ENCODING_AES_KEY, and enter both in WeChat's console",
            ),
            Some(credentials) if credentials.keys.is_none() => (
                "pushes are in plain text: anyone who has seen one can forge scans, and sign-in by a scan does not work",
                "set WXQR_ENCODING_AES_KEY, and choose the safe mode in WeChat's console",
            ),
            Some(_) => return None,
        };
        Some(Limitation {
            subject: "callback",
            costs: costs.to_owned(),
            action,
        })
    }

    fn key_limitation(&self) -> Option<Limitation> {
        self.keys.is_empty().then(|| Limitation {
            subject: "api-keys",
            costs: "there is no API key: no permanent codes, no names for codes, and no access to the numbers"
                .to_owned(),
            action: "set WXQR_API_KEYS",
        })
    }

    /// What no key can do although there are keys.
    fn scope_limitation(&self, scope: Scope) -> Option<Limitation> {
        let (costs, action) = match scope {
            Scope::Permanent => (
                "no permanent codes",
                "add the scope permanent to a key in WXQR_API_KEYS",
            ),
            Scope::Stats => (
                "no access to the numbers",
                "add the scope stats to a key in WXQR_API_KEYS",
            ),
            // Needed for particular uses only.
            Scope::Mint | Scope::People | Scope::Bind | Scope::Admin => return None,
        };
        (!self.keys.is_empty() && !self.keys.allows(scope)).then(|| Limitation {
            subject: "api-keys",
            costs: format!("no API key has the scope {scope}: {costs}"),
            action,
        })
    }

    fn webhook_limitation(&self) -> Option<Limitation> {
        let webhook = self.webhook.as_ref()?;
        webhook.url.is_exposed().then(|| Limitation {
            subject: "webhook",
            costs: format!(
                "events are sent to {} unencrypted: anyone on the way can read them",
                webhook.url
            ),
            action: "use https in WXQR_WEBHOOK_URL, unless the network on the way is your own",
        })
    }

    fn access_limitation(&self) -> Option<Limitation> {
        let budget = self.codes.anonymous_budget;
        (self.access.mode == Mode::Open && budget > 0).then(|| Limitation {
            subject: "access",
            costs: format!(
                "access is open: every visitor may create codes, {budget} a day for all of them together"
            ),
            action: "set WXQR_ACCESS to signed or keyed where only your own pages and programs should",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Command;

    use crate::config::{Config, flags};

    fn subjects(more: &[(&str, &str)]) -> Vec<&'static str> {
        let account = [("WXQR_APP_ID", "wx0"), ("WXQR_APP_SECRET", "secret")];
        let variables = account.iter().chain(more);
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let flags = flags(Command::new("serve").no_binary_name(true));
        let matches = flags.get_matches_from(Vec::<OsString>::new());
        let (config, _) = Config::load(&matches, variables).unwrap();
        let limitations = config.limitations();
        limitations
            .iter()
            .map(|limitation| limitation.subject)
            .collect()
    }

    #[test]
    fn limitations_are_what_is_off_or_open() {
        let token = ("WXQR_CALLBACK_TOKEN", "Token1");
        let aes_key = (
            "WXQR_ENCODING_AES_KEY",
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        );
        let key = ("WXQR_API_KEYS", "ops:0123456789abcdef:admin");
        let mint = ("WXQR_API_KEYS", "pos:0123456789abcdef:mint+people+bind");
        let stats = ("WXQR_API_KEYS", "ops:0123456789abcdef:mint+stats");
        let permanent = ("WXQR_API_KEYS", "ops:0123456789abcdef:permanent");
        let both = (
            "WXQR_API_KEYS",
            "ops:0123456789abcdef:stats,pos:fedcba9876543210:permanent",
        );
        let keyed = ("WXQR_ACCESS", "keyed");
        let secret = (
            "WXQR_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        );
        let [http, https, local] = [
            "http://hooks.example.com/",
            "https://hooks.example.com/",
            "http://127.0.0.1:8000/",
        ]
        .map(|url| ("WXQR_WEBHOOK_URL", url));
        for (more, want) in [
            (&[][..], &["callback", "api-keys", "access"][..]),
            (&[token, key], &["callback", "access"]),
            (&[token, aes_key], &["api-keys", "access"]),
            (&[token, aes_key, key], &["access"]),
            (&[token, aes_key, key, ("WXQR_ANONYMOUS_BUDGET", "0")], &[]),
            (&[token, aes_key, key, keyed], &[]),
            (&[token, aes_key, mint, keyed], &["api-keys", "api-keys"]),
            (&[token, aes_key, stats, keyed], &["api-keys"]),
            (&[token, aes_key, permanent, keyed], &["api-keys"]),
            (&[token, aes_key, both, keyed], &[]),
            (&[token, aes_key, key, keyed, secret, http], &["webhook"]),
            (&[token, aes_key, key, keyed, secret, https], &[]),
            (&[token, aes_key, key, keyed, secret, local], &[]),
        ] {
            assert_eq!(subjects(more), want, "{more:?}");
        }
    }
}
