//! `/api`: for programs that hold a key. JSON only.

pub(crate) mod account;
pub(crate) mod list;
pub(crate) mod make;

use super::auth::Authenticated;
use super::problem::{Code, Problem};
use crate::access::{Caller, Scope};

/// Lets a key with the scope through.
pub(crate) fn require(caller: &Authenticated, scope: Scope) -> Result<(), Problem> {
    match &caller.0 {
        Caller::Visitor => Err(Problem::new(
            Code::Unauthorized,
            "this needs a key: \"Authorization: Bearer KEY\"",
        )),
        Caller::Key(key) if key.allows(scope) => Ok(()),
        Caller::Key(_) => Err(Problem::new(
            Code::ScopeMissing,
            format!("this needs a key with the scope \"{scope}\""),
        )),
    }
}
