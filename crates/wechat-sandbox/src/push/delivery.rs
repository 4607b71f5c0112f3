//! The delivery of pushes: a deadline of five seconds, and three retries.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, header};
use url::Url;

use crate::push::callback::Callback;
use crate::push::client;
use crate::push::reply::{Reply, ReplyFault};
use crate::push::response::{Attempt, CallbackResponse, DeliveryError};
use crate::push::{self, Push};
use crate::random;

/// How long WeChat waits for the whole answer before it cuts the connection.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Retries after the first attempt.
///
/// The documents say "3 retries in total"; those who count the first time among them see one less.
const RETRIES: usize = 3;

/// The longest response that is read. WeChat's bound is not known; ours is for memory.
const MAX_ANSWER: usize = 64 * 1024;

/// The outcome of a push: each attempt, oldest first. There is one at least, and four at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// All but the last failed.
    pub attempts: Vec<Attempt>,
    /// The message for the follower in the accepted response, if there is one.
    pub reply: Result<Option<Reply>, ReplyFault>,
}

/// Why the verification of a callback failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// There is no callback to verify.
    #[error(transparent)]
    NoCallback(#[from] NoCallback),
    /// It did not respond.
    #[error(transparent)]
    Unanswered(#[from] DeliveryError),
    /// It answered another status than 2xx.
    #[error("the callback answered HTTP {0} instead of 200")]
    Status(u16),
    /// It answered another text than it was given, if only by a line break.
    #[error("the callback did not answer the echostr, and nothing else")]
    Echo,
}

/// No callback is configured for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no callback is configured for this account")]
pub struct NoCallback;

impl Delivery {
    /// The response that WeChat accepted, if the push arrived: to be passed on to the follower,
    /// unless it is empty or `success`.
    pub fn answer(&self) -> Option<&CallbackResponse> {
        let last = self.attempts.last()?.as_ref().ok();
        last.filter(|answer| answer.is_accepted())
    }

    /// Whether the push arrived.
    pub fn is_acknowledged(&self) -> bool {
        self.answer().is_some()
    }
}

/// Sends pushes to callbacks.
#[derive(Debug, Default)]
pub(crate) struct PushSender {
    /// Built on first use: most sandboxes push nothing, and the client parses all root
    /// certificates.
    client: OnceLock<Client>,
}

impl PushSender {
    fn client(&self) -> Client {
        self.client.get_or_init(client::http_client).clone()
    }

    /// Sends a push until it is accepted, without a pause between attempts, in a task that outlives
    /// its caller.
    pub(crate) async fn deliver(
        &self,
        deadline: Duration,
        compose: impl Fn() -> Push + Send + 'static,
    ) -> Delivery {
        let sending = send(self.client(), deadline, compose);
        tokio::spawn(sending).await.expect("sending does not panic")
    }

    /// Sends the console's verification request, once. Cancel safe.
    pub(crate) async fn verify(
        &self,
        callback: &Callback,
        deadline: Duration,
        now: Timestamp,
    ) -> Result<(), VerificationError> {
        let echo = u64::from_be_bytes(random::bytes()).to_string();
        let url = push::verification_url(callback, &echo, now);
        let answer = within(deadline, get(&self.client(), url)).await?;
        if !answer.is_accepted() {
            return Err(VerificationError::Status(answer.status));
        }
        if answer.body == echo.as_bytes() {
            Ok(())
        } else {
            Err(VerificationError::Echo)
        }
    }
}

/// Sends a push with its retries. Whether a retry has a new time and nonce is not documented, and a
/// callback must accept both: the first retry repeats the request, the others are signed and
/// encrypted anew.
async fn send(client: Client, deadline: Duration, compose: impl Fn() -> Push) -> Delivery {
    let mut push = compose();
    let mut delivery = Delivery {
        attempts: Vec::new(),
        reply: Ok(None),
    };
    loop {
        let attempt = within(deadline, post(&client, &push)).await;
        delivery.attempts.push(attempt);
        let made = delivery.attempts.len();
        if delivery.is_acknowledged() || made > RETRIES {
            return delivery;
        }
        if made > 1 {
            push = compose();
        }
    }
}

async fn within(deadline: Duration, attempt: impl Future<Output = Attempt>) -> Attempt {
    let attempt = tokio::time::timeout(deadline, attempt).await;
    attempt.unwrap_or(Err(DeliveryError::Late))
}

async fn post(client: &Client, push: &Push) -> Attempt {
    let request = client
        .post(push.url.clone())
        .header(header::CONTENT_TYPE, push.content_type)
        .body(push.body.clone());
    answer(request.send().await?).await
}

async fn get(client: &Client, url: Url) -> Attempt {
    answer(client.get(url).send().await?).await
}

async fn answer(response: reqwest::Response) -> Attempt {
    Ok(CallbackResponse {
        status: response.status().as_u16(),
        body: client::read_capped(response, MAX_ANSWER).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_acknowledged_by_a_2xx_of_its_last_attempt() {
        let answered = |status| {
            Ok(CallbackResponse {
                status,
                body: b"anything".to_vec(),
            })
        };
        let late = Err(DeliveryError::Late);
        for (attempts, want) in [
            (vec![answered(200)], true),
            (vec![late.clone(), answered(299)], true),
            (vec![answered(199)], false),
            (vec![answered(302)], false),
            (vec![answered(500)], false),
            (vec![late], false),
        ] {
            let delivery = Delivery {
                attempts,
                reply: Ok(None),
            };
            assert_eq!(delivery.is_acknowledged(), want, "{delivery:?}");
        }
    }
}
