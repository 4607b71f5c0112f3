//! How long an answer may be kept: never longer than the code in it is good.

use std::time::Duration;

use axum::http::HeaderValue;
use jiff::Timestamp;

use crate::codes::{Served, Standing};

/// The longest that anything is kept.
const LONGEST: Duration = Duration::from_hours(24);

/// The longest that a page or a JSON document is kept: it tells how much life is left.
const LONGEST_TEXT: Duration = Duration::from_mins(1);

/// A named `Cache-Control` policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachePolicy {
    /// Nobody keeps it.
    NoStore,
    /// Anybody keeps it for so long, and asks again after.
    Public(Duration),
}

impl CachePolicy {
    /// For a picture of ours, or the way to WeChat's: until the code no longer satisfies such a wish.
    pub(crate) fn for_picture(served: &Served, now: Timestamp) -> Self {
        Self::until_floor(served, now, LONGEST)
    }

    /// For a document.
    pub(crate) fn for_text(served: &Served, now: Timestamp) -> Self {
        Self::until_floor(served, now, LONGEST_TEXT)
    }

    /// For a page, which counts the time to its renewal from when it is shown: what it spent in a cache must not cost the
    /// code its life. The renewal comes no later than at twice this before the code's end.
    pub(crate) fn for_page(served: &Served, now: Timestamp) -> Self {
        let longest = match served.standing {
            Standing::Fresh { floor } if !floor.is_zero() => LONGEST_TEXT.min(floor / 2),
            _ => LONGEST_TEXT,
        };
        Self::until_floor(served, now, longest)
    }

    /// The same, but no longer than until `end`.
    pub(crate) fn until(self, end: Timestamp, now: Timestamp) -> Self {
        let left = Duration::try_from(now.duration_until(end)).unwrap_or_default();
        match self {
            Self::Public(age) => Self::of_age(age.min(left)),
            Self::NoStore => Self::NoStore,
        }
    }

    fn until_floor(served: &Served, now: Timestamp, longest: Duration) -> Self {
        let Standing::Fresh { floor } = served.standing else {
            return Self::NoStore;
        };
        let age = match served.code.left(now) {
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

    /// The header.
    pub(crate) fn header(self) -> HeaderValue {
        match self {
            Self::NoStore => HeaderValue::from_static("no-store"),
            Self::Public(age) => {
                let text = format!("public, max-age={}, must-revalidate", age.as_secs());
                HeaderValue::from_str(&text).expect("digits and words are a header")
            }
        }
    }
}

#[cfg(test)]
mod tests;
