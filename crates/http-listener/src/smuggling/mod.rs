//! Request smuggling: refuses requests that a proxy in front could parse differently from hyper.
//!
//! Two passes: `raw` scans the bytes of a head, `parsed` checks what hyper made of them.

mod ambiguity;
mod parsed;
mod raw;

pub(crate) use self::ambiguity::Ambiguity;
pub(crate) use self::parsed::check;
pub(crate) use self::raw::HeadScanner;
