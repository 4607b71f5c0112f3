//! The `Cache-Control` of a code: no cache may serve it after its freshness floor.

use std::time::Duration;

use axum::http::HeaderValue;
use jiff::Timestamp;

use crate::codes::{Freshness, Issued};

/// The longest `max-age`. Chosen.
const MAX_AGE: Duration = Duration::from_hours(24);

/// The longest `max-age` of pages and JSON, which say how much lifetime is left. Chosen.
pub(super) const MAX_TEXT_AGE: Duration = Duration::from_mins(1);

/// A named `Cache-Control` policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachePolicy {
    /// No cache may keep it.
    NoStore,
    /// Any cache may keep it for so long, and revalidates after.
    Public(Duration),
}

impl CachePolicy {
    /// Computes the policy of a picture drawn here, or of the redirect to WeChat's.
    pub(crate) fn for_picture(issued: &Issued, now: Timestamp) -> Self {
        Self::until_floor(issued, now, MAX_AGE)
    }

    /// Computes the policy of JSON and of the image element.
    pub(crate) fn for_text(issued: &Issued, now: Timestamp) -> Self {
        Self::until_floor(issued, now, MAX_TEXT_AGE)
    }

    /// Computes the policy of a page. It counts the time to its renewal from when it is shown, so
    /// the time in a cache must not outlast the code: the renewal is at the latest twice this
    /// before the code's end.
    pub(crate) fn for_page(issued: &Issued, now: Timestamp) -> Self {
        let longest = match issued.freshness {
            Freshness::Fresh { floor } if !floor.is_zero() => MAX_TEXT_AGE.min(floor / 2),
            _ => MAX_TEXT_AGE,
        };
        Self::until_floor(issued, now, longest)
    }

    /// Shortens the policy to end no later than `end`.
    pub(crate) fn until(self, end: Timestamp, now: Timestamp) -> Self {
        let left = Duration::try_from(now.duration_until(end)).unwrap_or_default();
        match self {
            Self::Public(age) => Self::of_age(age.min(left)),
            Self::NoStore => Self::NoStore,
        }
    }

    fn until_floor(issued: &Issued, now: Timestamp, longest: Duration) -> Self {
        let Freshness::Fresh { floor } = issued.freshness else {
            return Self::NoStore;
        };
        let age = match issued.code.left(now) {
            None => longest,
            Some(left) => left.saturating_sub(floor).min(longest),
        };
        Self::of_age(age)
    }

    fn of_age(age: Duration) -> Self {
        if age.as_secs() == 0 {
            Self::NoStore
        } else {
            Self::Public(age)
        }
    }

    /// The value of `Cache-Control`.
    pub(crate) fn header(self) -> HeaderValue {
        match self {
            Self::NoStore => HeaderValue::from_static("no-store"),
            Self::Public(age) => {
                let text = format!("public, max-age={}, must-revalidate", age.as_secs());
                HeaderValue::try_from(text).expect("digits and words are a header")
            }
        }
    }
}

#[cfg(test)]
mod tests;
