//! Entry points of fuzz targets: each parses untrusted input as a caller does, and asserts the
//! invariants. A panic is a finding.
//!
//! Hidden, not behind a feature, so that every build checks it; not for other callers.

mod callback;

use std::time::Duration;

pub use self::callback::callback;

use crate::scene::{CodeSpec, PermanentScene, TemporaryScene};
use crate::{CreatedCode, GrantedToken};

/// Parses the body of a response of WeChat: a value is within its bounds, and an error can be
/// shown.
pub fn upstream(data: &[u8]) {
    match GrantedToken::decode(data) {
        Ok(granted) => {
            let day = Duration::from_hours(24);
            assert!(!granted.expires_in.is_zero() && granted.expires_in <= day);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for spec in specs() {
        match CreatedCode::decode(&spec, data) {
            Ok(created) => {
                assert_eq!(created.granted.is_some(), spec.lifetime().is_some());
                assert!(is_printable(created.ticket.as_str()));
                assert!(is_printable(created.url.as_str()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn specs() -> [CodeSpec; 2] {
    [
        CodeSpec::Temporary {
            scene: TemporaryScene::Id("1".parse().expect("1 is a scene")),
            lifetime: "7200".parse().expect("two hours are a lifetime"),
        },
        CodeSpec::Permanent {
            scene: PermanentScene::Id("1".parse().expect("1 is a scene")),
        },
    ]
}
