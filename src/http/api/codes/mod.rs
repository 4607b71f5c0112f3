//! `/api/codes`: the ledger of codes.

pub(crate) mod list;
pub(crate) mod make;
mod new_code;

pub(crate) use self::new_code::MAX_BODY;
