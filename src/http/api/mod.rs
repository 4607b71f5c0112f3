//! `/api`: for programs that hold a key. JSON only.

pub(crate) mod account;
mod attribution;
pub(crate) mod bindings;
pub(crate) mod list;
pub(crate) mod make;
mod query;
pub(crate) mod scans;
pub(crate) mod stats;
mod wanted;

use crate::access::Scope;
use crate::http::extract::caller::Authenticated;
use crate::http::i18n::message::Message;
use crate::http::problem::{Code, Problem};

/// Lets a key with the scope through.
pub(crate) fn require(caller: &Authenticated, scope: Scope) -> Result<(), Problem> {
    if caller.0.allows(scope) {
        return Ok(());
    }
    if caller.0.key.is_none() {
        let message = Message::new(
            "此处需要密钥，请写入请求头：“Authorization: Bearer 密钥”",
            "this needs a key: \"Authorization: Bearer KEY\"",
        );
        return Err(Problem::new(Code::Unauthorized, message));
    }
    let message = Message::new(
        format!("此处需要具有 {scope} 权限的密钥"),
        format!("this needs a key with the scope \"{scope}\""),
    );
    Err(Problem::new(Code::ScopeMissing, message))
}
