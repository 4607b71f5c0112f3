//! Refusals of `origin`.

use crate::http::i18n::message::Message;
use crate::http::problem::{ErrorCode, Problem};
use crate::origin::Foreign;

impl From<Foreign> for Problem {
    fn from(foreign: Foreign) -> Self {
        let message = Message::new(foreign.zh(), foreign.to_string());
        Self::new(ErrorCode::ForeignRequest, message)
    }
}
