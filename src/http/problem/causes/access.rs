//! Refusals of `access`.

use crate::access::{LinkError, MissingPermission, Scope};
use crate::http::i18n::message::Message;
use crate::http::problem::Problem;
use crate::http::problem::error_code::ErrorCode;

impl From<MissingPermission> for Problem {
    fn from(needed: MissingPermission) -> Self {
        let message = match needed {
            MissingPermission::NotPrefetch => return not_minted_for_prefetch(),
            MissingPermission::Key(Scope::Permanent) => Message::new(
                "该永久二维码尚未生成，生成它需要具有 permanent 权限的密钥",
                "this permanent code does not exist yet; a key with the scope \"permanent\" can create it",
            ),
            MissingPermission::Key(scope) => Message::new(
                format!("该二维码尚未生成，生成它需要具有 {scope} 权限的密钥"),
                format!(
                    "this code does not exist yet; a key with the scope \"{scope}\" can create it"
                ),
            ),
            MissingPermission::SignedLink => Message::new(
                "该二维码尚未生成，生成它需要已签名的链接",
                "this code does not exist yet; a signed link (sig) can create it",
            ),
        };
        Self::new(ErrorCode::MintNotAllowed, message)
    }
}

fn not_minted_for_prefetch() -> Problem {
    let message = Message::new(
        "该二维码尚未生成；HEAD 请求和预取请求不会生成，请用普通的 GET 请求",
        "this code does not exist yet; HEAD and prefetch requests create none, an ordinary GET does",
    );
    Problem::new(ErrorCode::NotMintedForPrefetch, message)
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::BadSignature => Self::new(
                ErrorCode::BadSignature,
                Message::new(
                    "签名与链接不符，请使用完整的原始链接",
                    "the signature does not match this link; use the link exactly as it was given",
                ),
            ),
            LinkError::Expired => Self::new(
                ErrorCode::LinkExpired,
                Message::new(
                    "请索取新的链接",
                    "the link is no longer valid; ask for a new one",
                ),
            ),
            LinkError::ExpiryWithoutSignature => {
                let message = Message::new("须与 sig 一同使用", "goes with sig only");
                Self::invalid_parameter("exp", message)
            }
        }
    }
}
