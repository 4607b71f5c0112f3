//! How WeChat brings a push to a callback: it waits five seconds, and tries again.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, header};
use url::Url;

use super::callback::Callback;
use super::push::{self, Push};
use super::random;
use crate::outbound::{self, BodyError};

/// How long WeChat waits for the whole answer before it cuts the connection.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How often a push is sent again, after the first time.
///
/// The documents say "3 retries in total"; those who count the first time among them see one less.
const RETRIES: usize = 3;

/// The longest answer that is read. WeChat's bound is not known; ours is for memory.
const MAX_ANSWER: usize = 64 * 1024;

/// How a push went: what became of each attempt, oldest first. There is one at least, and four at
/// most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// All but the last of them failed.
    pub attempts: Vec<Attempt>,
}

/// What came back, or why nothing did.
pub type Attempt = Result<Answer, Failure>;

/// What a callback answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// At most 64 KiB.
    pub body: Vec<u8>,
}

/// Why there is no answer. Names no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was nobody to connect to.
    #[error("no connection")]
    NoConnection,
    /// Not in time.
    #[error("no answer in time")]
    Late,
    /// The connection ended first, or what came is no HTTP.
    #[error("the connection broke off")]
    BrokenOff,
    /// It did not come to an end.
    #[error("an answer of more than 64 KiB")]
    TooLong,
}

/// Why a callback is not accepted as the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// There is nothing to ask.
    #[error(transparent)]
    NoCallback(#[from] NoCallback),
    /// It did not answer.
    #[error(transparent)]
    Unanswered(#[from] Failure),
    /// It answered another status than 2xx.
    #[error("the callback answered HTTP {0} instead of 200")]
    Status(u16),
    /// It answered another text than it was given, if only by a line break.
    #[error("the callback did not answer the echostr, and nothing else")]
    Echo,
}

/// The account's owner has not set a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no callback is configured for this account")]
pub struct NoCallback;

impl Delivery {
    /// What WeChat has taken for an answer, if the push arrived: to be passed on to the person,
    /// unless it is empty or `success`.
    pub fn answer(&self) -> Option<&Answer> {
        let last = self.attempts.last()?.as_ref().ok();
        last.filter(|answer| answer.is_taken())
    }

    /// Whether the push arrived.
    pub fn is_acknowledged(&self) -> bool {
        self.answer().is_some()
    }
}

impl Answer {
    /// Whether WeChat leaves it at that. The documents want `success`, an empty body, or a message
    /// for the person; what they say of others is that the person is told of a fault, and not
    /// whether the push is repeated. Here any body is taken with a status of 2xx, and no other
    /// status is.
    fn is_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; what is none is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Brings pushes to callbacks.
#[derive(Debug, Default)]
pub(super) struct Courier {
    /// Made when it is first needed: most sandboxes push nothing, and the client reads all the
    /// roots of the web.
    client: OnceLock<Client>,
}

impl Courier {
    fn client(&self) -> Client {
        let make = || outbound::http_client(None).expect("the built-in roots can be read");
        self.client.get_or_init(make).clone()
    }

    /// Sends a push until it is taken, one attempt right after the other, in a task that does not
    /// care who waits for it.
    pub(super) async fn deliver(
        &self,
        deadline: Duration,
        compose: impl Fn() -> Push + Send + 'static,
    ) -> Delivery {
        let sending = send(self.client(), deadline, compose);
        tokio::spawn(sending).await.expect("sending does not panic")
    }

    /// Asks a callback whether it is the owner's, once. Cancel safe.
    pub(super) async fn verify(
        &self,
        callback: &Callback,
        deadline: Duration,
        now: Timestamp,
    ) -> Result<(), Unverified> {
        let echo = u64::from_be_bytes(random::bytes()).to_string();
        let url = push::question(callback, &echo, now);
        let answer = within(deadline, get(&self.client(), url)).await?;
        if !answer.is_taken() {
            return Err(Unverified::Status(answer.status));
        }
        if answer.body == echo.as_bytes() {
            Ok(())
        } else {
            Err(Unverified::Echo)
        }
    }
}

/// Whether a repeat carries a new time and a new nonce is not documented, and a callback has to
/// bear both: the first repeat is the same request once more, the others are signed and encrypted
/// anew.
async fn send(client: Client, deadline: Duration, compose: impl Fn() -> Push) -> Delivery {
    let mut push = compose();
    let mut delivery = Delivery {
        attempts: Vec::new(),
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
    attempt.unwrap_or(Err(Failure::Late))
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
    Ok(Answer {
        status: response.status().as_u16(),
        body: outbound::read_capped(response, MAX_ANSWER).await?,
    })
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Late
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::BrokenOff
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::TooLong,
            BodyError::Broken(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_has_arrived_when_its_last_attempt_was_taken() {
        let answered = |status| {
            Ok(Answer {
                status,
                body: b"anything".to_vec(),
            })
        };
        let late = Err(Failure::Late);
        for (attempts, want) in [
            (vec![answered(200)], true),
            (vec![late.clone(), answered(299)], true),
            (vec![answered(199)], false),
            (vec![answered(302)], false),
            (vec![answered(500)], false),
            (vec![late], false),
        ] {
            let delivery = Delivery { attempts };
            assert_eq!(delivery.is_acknowledged(), want, "{delivery:?}");
        }
    }
}
