//! What came to the callback of the running service, as it says itself at `/api/account`.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{PROBE_DEADLINE, Trouble};
use crate::callback::Diagnosis;
use crate::config::{Config, ExtraCa};
use crate::outbound;

/// Room for the answer, in bytes; it has less than 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// The part of the answer that is read.
#[derive(Debug, Deserialize)]
struct AccountAnswer {
    callback: Option<Pushes>,
}

/// How many refusals in a row, at least, are not a stranger's chance: a signature that does not match the Token fails the
/// check from there on even where pushes were accepted before. WeChat sends a push three times.
const REFUSALS_IN_A_ROW: u64 = 3;

/// What one process has counted since its start.
#[derive(Debug, Deserialize)]
pub(super) struct Pushes {
    last_push_at: Option<Timestamp>,
    accepted: u64,
    refused: u64,
    refused_since_accepted: u64,
    last_refusal: Option<LastRefusal>,
}

#[derive(Debug, Deserialize)]
struct LastRefusal {
    code: String,
    reason: String,
    action: String,
    proven: bool,
    at: Timestamp,
    accepted_since: bool,
}

/// What the counts say about the set-up.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Pushes come in, or none has come yet.
    Fine(String),
    /// Refusals came after the last accepted push, and strangers may have caused them.
    Doubtful(Trouble),
    /// Pushes are refused, and none is accepted.
    Refused(Trouble),
}

/// Asks at each base in turn until one answers.
pub(super) async fn ask_first(
    config: &Config,
    bases: &[String],
    key: &SecretString,
) -> Option<Pushes> {
    for base in bases {
        if let Some(pushes) = ask(config, base, key).await {
            return Some(pushes);
        }
    }
    None
}

/// Asks the service at this base. None: there is no such answer, for whatever reason.
async fn ask(config: &Config, base: &str, key: &SecretString) -> Option<Pushes> {
    let url: Url = format!("{base}/api/account").parse().ok()?;
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = outbound::http_client(extra_ca).ok()?;
    let answer = outbound::probe_with_key(&client, url, key, PROBE_DEADLINE)
        .await
        .ok()?;
    let body = outbound::read_capped(answer, MAX_ANSWER).await.ok()?;
    let answer: AccountAnswer = serde_json::from_slice(&body).ok()?;
    answer.callback
}

impl Pushes {
    /// A refusal counts as long as no push was accepted after it. A signature that does not match may be a stranger's: where
    /// pushes were accepted before, it takes [`REFUSALS_IN_A_ROW`] to fail the check, as after a change of the Token.
    pub(super) fn judge(&self) -> Judgement {
        let Self {
            accepted, refused, ..
        } = self;
        let Some(last) = self
            .last_refusal
            .as_ref()
            .filter(|last| !last.accepted_since)
        else {
            return Judgement::Fine(self.so_far());
        };
        let happened = format!(
            "{} accepted and {} refused since the service started, the last at {}: {}",
            counted(*accepted, "push", "pushes"),
            counted(*refused, "request", "requests"),
            last.at,
            last.reason
        );
        let trouble = Trouble::new(happened, &last.action);
        let is_token = last.code == Diagnosis::OtherToken.code()
            && (*accepted == 0 || self.refused_since_accepted >= REFUSALS_IN_A_ROW);
        if last.proven || is_token {
            Judgement::Refused(trouble)
        } else {
            Judgement::Doubtful(trouble)
        }
    }

    fn so_far(&self) -> String {
        match self.last_push_at {
            None => "no push has come since the service started".to_owned(),
            Some(at) => format!(
                "{} accepted since the service started, the last at {at}",
                counted(self.accepted, "push", "pushes")
            ),
        }
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes that were accepted, then refusals of which the last has this diagnosis.
    fn pushes(accepted: u64, refusals: Option<(Diagnosis, u64)>) -> Pushes {
        let at = Timestamp::UNIX_EPOCH;
        Pushes {
            last_push_at: (accepted > 0).then_some(at),
            accepted,
            refused: 9,
            refused_since_accepted: refusals.map_or(0, |(_, times)| times),
            last_refusal: refusals.map(|(diagnosis, times)| LastRefusal {
                code: diagnosis.code().to_owned(),
                reason: diagnosis.to_string(),
                action: diagnosis.action().to_owned(),
                proven: diagnosis.is_proven(),
                at,
                accepted_since: times == 0 && diagnosis != Diagnosis::Unsigned,
            }),
        }
    }

    #[test]
    fn refusals_fail_while_they_come_and_acceptances_do_not() {
        use Diagnosis::{NotEncrypted, OtherToken, Unreadable, Unsigned};
        for (accepted, refusals, want) in [
            (0, None, "fine"),
            (1, None, "fine"),
            (0, Some((NotEncrypted, 1)), "refused"),
            (7, Some((NotEncrypted, 1)), "refused"),
            (7, Some((NotEncrypted, 0)), "fine"),
            (0, Some((Unreadable, 1)), "refused"),
            (0, Some((OtherToken, 1)), "refused"),
            (7, Some((OtherToken, 1)), "doubtful"),
            (7, Some((OtherToken, 2)), "doubtful"),
            (7, Some((OtherToken, 3)), "refused"),
            (7, Some((OtherToken, 0)), "fine"),
            (0, Some((Unsigned, 0)), "doubtful"),
            (7, Some((Unsigned, 0)), "doubtful"),
        ] {
            let got = match pushes(accepted, refusals).judge() {
                Judgement::Fine(_) => "fine",
                Judgement::Doubtful(_) => "doubtful",
                Judgement::Refused(_) => "refused",
            };
            assert_eq!(got, want, "accepted {accepted}, refused {refusals:?}");
        }
    }

    #[test]
    fn one_is_not_many() {
        let Judgement::Fine(told) = pushes(1, None).judge() else {
            panic!("nothing was refused");
        };
        assert!(told.starts_with("1 push accepted since"), "{told}");
        assert_eq!(counted(0, "push", "pushes"), "0 pushes");
        assert_eq!(counted(2, "push", "pushes"), "2 pushes");
    }
}
