//! The response of a callback to one attempt, or why there is none.

/// The outcome of one attempt.
pub type Attempt = Result<CallbackResponse, DeliveryError>;

/// A response of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackResponse {
    /// The HTTP status.
    pub status: u16,
    /// At most 64 KiB.
    pub body: Vec<u8>,
}

/// Why an attempt got no response. Names no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The connection was refused or timed out.
    #[error("no connection")]
    NoConnection,
    /// No response within the deadline.
    #[error("no answer in time")]
    Late,
    /// The connection ended first, or what came is no HTTP.
    #[error("the connection broke")]
    BrokenOff,
    /// The response is longer than 64 KiB.
    #[error("an answer of more than 64 KiB")]
    TooLong,
}

impl CallbackResponse {
    /// Whether it ends the retries. The documents want `success`, an empty body, or a message for
    /// the follower; for other bodies they do not say whether the push is repeated. Here any body
    /// is accepted with a status of 2xx, and with no other status.
    pub(crate) fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl From<reqwest::Error> for DeliveryError {
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
