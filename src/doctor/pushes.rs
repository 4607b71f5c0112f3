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

/// What one process has counted since its start.
#[derive(Debug, Deserialize)]
pub(super) struct Pushes {
    last_push_at: Option<Timestamp>,
    accepted: u64,
    refused: u64,
    last_refusal: Option<LastRefusal>,
}

#[derive(Debug, Deserialize)]
struct LastRefusal {
    code: String,
    reason: String,
    action: String,
    proven: bool,
    at: Timestamp,
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

/// Asks the service at this base. None: there is no such answer, for whatever reason.
pub(super) async fn ask(config: &Config, base: &str, key: &SecretString) -> Option<Pushes> {
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
    /// A refusal counts as long as no push was accepted after it. A signature that does not match may be a stranger's, and
    /// fails the check only while nothing has been accepted: after that the Token is known to be right.
    pub(super) fn judge(&self) -> Judgement {
        let Self {
            accepted, refused, ..
        } = self;
        let Some(last) = self.last_refusal.as_ref().filter(|last| self.stands(last)) else {
            return Judgement::Fine(self.so_far());
        };
        let happened = format!(
            "{accepted} pushes accepted and {refused} requests refused since the service started, the last at {}: {}",
            last.at, last.reason
        );
        let trouble = Trouble::new(happened, &last.action);
        let may_be_the_token = last.code == Diagnosis::OtherToken.code() && *accepted == 0;
        if last.proven || may_be_the_token {
            Judgement::Refused(trouble)
        } else {
            Judgement::Doubtful(trouble)
        }
    }

    fn stands(&self, refusal: &LastRefusal) -> bool {
        self.last_push_at
            .is_none_or(|accepted| accepted < refusal.at)
    }

    fn so_far(&self) -> String {
        match self.last_push_at {
            None => "no push has come since the service started".to_owned(),
            Some(at) => format!(
                "{} pushes accepted since the service started, the last at {at}",
                self.accepted
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of the last accepted push and of the last refusal.
    fn pushes(accepted: Option<i64>, refusal: Option<(Diagnosis, i64)>) -> Pushes {
        let at = |second| Timestamp::from_second(second).unwrap();
        Pushes {
            last_push_at: accepted.map(at),
            accepted: u64::from(accepted.is_some()),
            refused: u64::from(refusal.is_some()),
            last_refusal: refusal.map(|(diagnosis, second)| LastRefusal {
                code: diagnosis.code().to_owned(),
                reason: diagnosis.to_string(),
                action: diagnosis.action().to_owned(),
                proven: diagnosis.is_proven(),
                at: at(second),
            }),
        }
    }

    #[test]
    fn refusals_fail_while_they_come_and_acceptances_do_not() {
        use Diagnosis::{NotEncrypted, OtherToken, Unsigned};
        for (accepted, refusal, want) in [
            (None, None, "fine"),
            (Some(1), None, "fine"),
            (None, Some((NotEncrypted, 1)), "refused"),
            (Some(1), Some((NotEncrypted, 2)), "refused"),
            (Some(2), Some((NotEncrypted, 1)), "fine"),
            (None, Some((OtherToken, 1)), "refused"),
            (Some(1), Some((OtherToken, 2)), "doubtful"),
            (Some(2), Some((OtherToken, 1)), "fine"),
            (None, Some((Unsigned, 1)), "doubtful"),
        ] {
            let got = match pushes(accepted, refusal).judge() {
                Judgement::Fine(_) => "fine",
                Judgement::Doubtful(_) => "doubtful",
                Judgement::Refused(_) => "refused",
            };
            assert_eq!(got, want, "accepted {accepted:?}, refused {refusal:?}");
        }
    }
}
