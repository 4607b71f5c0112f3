//! Refusals of `local_guard`.

use local_guard::ForeignRequest;

use crate::http::i18n::message::Message;
use crate::http::problem::Problem;
use crate::http::problem::error_code::ErrorCode;

impl From<ForeignRequest> for Problem {
    fn from(foreign: ForeignRequest) -> Self {
        let message = Message::new(foreign.zh(), foreign.to_string());
        Self::new(ErrorCode::ForeignRequest, message)
    }
}
