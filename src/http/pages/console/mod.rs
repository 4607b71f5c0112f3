//! The console: pages that hold no data. Their scripts fetch it with the key that is typed in, so
//! the pages themselves are public.

pub(crate) mod assets;
pub(crate) mod codes;
pub(super) mod frame;
pub(crate) mod import;
pub(crate) mod new;
pub(crate) mod print;
pub(super) mod request;
