//! Push counts of the running service, from its `/api/account`.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use wechat::push::Diagnosis;

use super::finding::Issue;
use super::hosts::CHECK_TIMEOUT;
use crate::config::{Config, ExtraCa};
use crate::outbound;
use crate::text::counted;

/// Maximum length of the answer, in bytes; it has less than 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// The used part of the answer.
#[derive(Debug, Deserialize)]
struct AccountAnswer {
    callback: Option<Pushes>,
}

/// Number of consecutive rejections that fail the check even if pushes were accepted before. A
/// single signature that does not match the Token may be internet noise; WeChat sends a push that
/// is not acknowledged four times.
const FAILING_REJECTIONS: u64 = 3;

/// Counts of one process since its start.
#[derive(Debug, Deserialize)]
pub(super) struct Pushes {
    last_push_at: Option<Timestamp>,
    accepted: u64,
    #[serde(rename = "refused")]
    rejected: u64,
    #[serde(rename = "refused_since_accepted")]
    rejected_since_accepted: u64,
    #[serde(rename = "last_refusal")]
    last_rejection: Option<ReportedRejection>,
}

#[derive(Debug, Deserialize)]
struct ReportedRejection {
    code: String,
    reason: String,
    action: String,
    proven: bool,
    at: Timestamp,
    accepted_since: bool,
}

/// Evaluation of the counts.
#[derive(Debug)]
pub(super) enum PushHealth {
    /// Pushes are accepted, or none has arrived yet.
    Healthy(String),
    /// Rejections since the last accepted push, which any internet client can cause.
    Suspect(Issue),
    /// Pushes are rejected, and none is accepted.
    Failing(Issue),
}

/// Requests the counts from each base URL in turn, until one answers.
pub(super) async fn fetch_first(
    config: &Config,
    bases: &[String],
    key: &SecretString,
) -> Option<Pushes> {
    for base in bases {
        if let Some(pushes) = fetch(config, base, key).await {
            return Some(pushes);
        }
    }
    None
}

/// Requests the counts; `None` without a valid answer.
async fn fetch(config: &Config, base: &str, key: &SecretString) -> Option<Pushes> {
    let url: Url = format!("{base}/api/account").parse().ok()?;
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = outbound::http_client(extra_ca, None).ok()?;
    let answer = outbound::check_connection_with_key(&client, url, key, CHECK_TIMEOUT)
        .await
        .ok()?;
    let body = outbound::read_capped(answer, MAX_ANSWER).await.ok()?;
    let answer: AccountAnswer = serde_json::from_slice(&body).ok()?;
    answer.callback
}

impl Pushes {
    /// Evaluates the rejections since the last accepted push. A signature that does not match may
    /// be internet noise: if pushes were accepted before, it takes [`FAILING_REJECTIONS`] to fail
    /// the check, as after a change of the Token.
    pub(super) fn health(&self) -> PushHealth {
        let Self {
            accepted, rejected, ..
        } = self;
        let Some(last) = self
            .last_rejection
            .as_ref()
            .filter(|last| !last.accepted_since)
        else {
            return PushHealth::Healthy(self.summary());
        };
        let cause = format!(
            "{} accepted and {} refused since the service started, the last at {}: {}",
            counted(*accepted, "push", "pushes"),
            counted(*rejected, "request", "requests"),
            last.at,
            last.reason
        );
        let issue = Issue::new(cause, &last.action);
        let is_token = last.code == Diagnosis::OtherToken.code()
            && (*accepted == 0 || self.rejected_since_accepted >= FAILING_REJECTIONS);
        if last.proven || is_token {
            PushHealth::Failing(issue)
        } else {
            PushHealth::Suspect(issue)
        }
    }

    fn summary(&self) -> String {
        match self.last_push_at {
            None => "no push has come since the service started".to_owned(),
            Some(at) => format!(
                "{} accepted since the service started, the last at {at}",
                counted(self.accepted, "push", "pushes")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback;

    /// Counts with accepted pushes, then rejections, the last one with this diagnosis.
    fn pushes(accepted: u64, rejections: Option<(Diagnosis, u64)>) -> Pushes {
        let at = Timestamp::UNIX_EPOCH;
        Pushes {
            last_push_at: (accepted > 0).then_some(at),
            accepted,
            rejected: 9,
            rejected_since_accepted: rejections.map_or(0, |(_, times)| times),
            last_rejection: rejections.map(|(diagnosis, times)| ReportedRejection {
                code: diagnosis.code().to_owned(),
                reason: callback::likely_cause(diagnosis).to_string(),
                action: callback::action(diagnosis).to_owned(),
                proven: diagnosis.is_proven(),
                at,
                accepted_since: times == 0 && diagnosis != Diagnosis::Unsigned,
            }),
        }
    }

    #[test]
    fn rejections_since_the_last_accepted_push_decide() {
        use Diagnosis::{NotEncrypted, OtherToken, Unreadable, Unsigned};
        for (accepted, rejections, want) in [
            (0, None, "fine"),
            (1, None, "fine"),
            (0, Some((NotEncrypted, 1)), "rejected"),
            (7, Some((NotEncrypted, 1)), "rejected"),
            (7, Some((NotEncrypted, 0)), "fine"),
            (0, Some((Unreadable, 1)), "rejected"),
            (0, Some((OtherToken, 1)), "rejected"),
            (7, Some((OtherToken, 1)), "doubtful"),
            (7, Some((OtherToken, 2)), "doubtful"),
            (7, Some((OtherToken, 3)), "rejected"),
            (7, Some((OtherToken, 0)), "fine"),
            (0, Some((Unsigned, 0)), "doubtful"),
            (7, Some((Unsigned, 0)), "doubtful"),
        ] {
            let got = match pushes(accepted, rejections).health() {
                PushHealth::Healthy(_) => "fine",
                PushHealth::Suspect(_) => "doubtful",
                PushHealth::Failing(_) => "rejected",
            };
            assert_eq!(got, want, "accepted {accepted}, rejected {rejections:?}");
        }
    }

    #[test]
    fn one_push_is_counted_in_the_singular() {
        let PushHealth::Healthy(detail) = pushes(1, None).health() else {
            panic!("nothing was rejected");
        };
        assert!(detail.starts_with("1 push accepted since"), "{detail}");
    }
}
