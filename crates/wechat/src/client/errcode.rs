//! WeChat's return codes (`errcode`), with their class and meaning.

use std::fmt;

use super::api::Api;

/// A non-zero `errcode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errcode(pub i64);

/// Class of an errcode, which decides the answer and whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Transient: retry a little later.
    Busy,
    /// The access token is invalid. On a token call the same code is a fault of the account.
    TokenInvalid,
    /// A quota is exhausted: stop calling, and probe from time to time (circuit breaker).
    Quota,
    /// The 100 000 permanent codes are used up.
    StockExhausted,
    /// WeChat does not accept the scene.
    SceneRefused,
    /// The call was wrong: a defect of this service.
    OurFault,
    /// WeChat has blocked the account or this address, or waits for the account's administrator.
    AccountBlocked,
    /// Anything else: credentials, permissions, or a code that is not in the table. A retry does
    /// not help.
    Refused,
}

#[derive(Debug)]
struct Row {
    code: i64,
    class: Class,
    meaning: &'static str,
}

const fn row(code: i64, class: Class, meaning: &'static str) -> Row {
    Row {
        code,
        class,
        meaning,
    }
}

/// The codes of WeChat's page "global return codes" that these calls can receive.
const TABLE: &[Row] = &[
    row(-1, Class::Busy, "WeChat is busy"),
    row(
        40001,
        Class::TokenInvalid,
        "the token is not the latest, or the AppSecret is wrong",
    ),
    row(40002, Class::OurFault, "bad grant_type"),
    row(40013, Class::Refused, "bad AppID"),
    row(40014, Class::TokenInvalid, "the token is not valid"),
    row(
        40033,
        Class::SceneRefused,
        "the scene has characters WeChat refuses",
    ),
    row(40052, Class::OurFault, "bad action_name"),
    row(40053, Class::SceneRefused, "WeChat refuses the scene"),
    row(40125, Class::Refused, "bad AppSecret"),
    row(40164, Class::Refused, "this address is not allowed"),
    row(40243, Class::Refused, "the AppSecret is frozen"),
    row(41001, Class::OurFault, "the token is missing"),
    row(41002, Class::Refused, "the AppID is missing"),
    row(41004, Class::Refused, "the AppSecret is missing"),
    row(42001, Class::TokenInvalid, "the token has expired"),
    row(43002, Class::OurFault, "the call must be a POST"),
    row(43003, Class::Refused, "the call must use HTTPS"),
    row(44002, Class::OurFault, "the body is empty"),
    row(45009, Class::Quota, "the day's quota is used up"),
    row(45011, Class::Quota, "too many calls in this minute"),
    row(
        45029,
        Class::StockExhausted,
        "the permanent codes are used up",
    ),
    row(47001, Class::OurFault, "the body is not JSON"),
    row(48001, Class::Refused, "the account may not use this API"),
    row(48004, Class::Refused, "the API is banned for this account"),
    row(50002, Class::Refused, "the account is limited"),
    row(
        89501,
        Class::AccountBlocked,
        "this address awaits confirmation",
    ),
    row(
        89503,
        Class::AccountBlocked,
        "this address needs confirmation",
    ),
    row(
        89506,
        Class::AccountBlocked,
        "this address was refused twice: banned for 24 hours",
    ),
    row(
        89507,
        Class::AccountBlocked,
        "this address was refused: banned for an hour",
    ),
];

impl Errcode {
    /// Every code with a class and a meaning of its own, in ascending order.
    pub fn documented() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| Self(row.code))
    }

    /// Too many calls in a minute. WeChat does not publish the limit.
    pub const MINUTE_LIMIT: Self = Self(45011);

    /// Whether the error persists until the account's owner acts.
    pub fn requires_the_owner(self, api: Api) -> bool {
        match self.class() {
            // On a token call it means that the AppSecret is wrong.
            Class::TokenInvalid => api == Api::Token,
            Class::Refused | Class::AccountBlocked => true,
            Class::Busy
            | Class::Quota
            | Class::StockExhausted
            | Class::SceneRefused
            | Class::OurFault => false,
        }
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.code == self.0)
    }

    /// The class. A code outside of the table is [`Class::Refused`].
    pub fn class(self) -> Class {
        self.row().map_or(Class::Refused, |row| row.class)
    }

    /// The meaning, in a few words.
    pub fn meaning(self) -> &'static str {
        self.row()
            .map_or("a return code this service does not know", |row| {
                row.meaning
            })
    }
}

impl fmt::Display for Errcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_errcodes_mean_an_invalid_access_token() {
        let refused: Vec<i64> = TABLE
            .iter()
            .filter(|row| row.class == Class::TokenInvalid)
            .map(|row| row.code)
            .collect();
        assert_eq!(refused, [40001, 40014, 42001]);
    }

    #[test]
    fn an_unknown_errcode_is_refused() {
        assert_eq!(Errcode(99_999).class(), Class::Refused);
        assert_eq!(
            Errcode(42_007).class(),
            Class::Refused,
            "about OAuth, not about this token"
        );
    }

    #[test]
    fn the_errcode_table_is_sorted_and_unique() {
        assert!(TABLE.is_sorted_by(|one, next| one.code < next.code));
    }
}
