//! `/api/codes`: creates, lists, plans and exports codes.

mod channel_body;
mod cursor;
pub(crate) mod export;
mod job_limit;
pub(crate) mod list;
pub(crate) mod make;
mod new_code;
pub(crate) mod plan;
pub(crate) mod selection;

pub use self::export::archive::Archives;
pub(crate) use self::new_code::MAX_BODY;
pub(in crate::http) use self::new_code::MAX_NAME;
pub use self::plan::file::FileReader;
pub(crate) use self::plan::file::MAX_FILE;
