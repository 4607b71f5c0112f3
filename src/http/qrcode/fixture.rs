//! Codes for the tests of `qrcode`.

use std::sync::Arc;

use jiff::Timestamp;
use wechat::ticket::{IssuedCode, Life};

use crate::codes::{Freshness, Issued, Source};

/// A code minted at the epoch, for so many seconds; 0 means permanent.
pub(crate) fn served(granted: u64, freshness: Freshness) -> Issued {
    let life = match granted {
        0 => Life::Permanent,
        _ => Life::Temporary {
            minted_at: Timestamp::UNIX_EPOCH,
            asked: granted.try_into().unwrap(),
            granted: granted.try_into().unwrap(),
        },
    };
    let (ticket, url) = (
        "t".parse().unwrap(),
        "http://weixin.qq.com/q/a".parse().unwrap(),
    );
    Issued {
        code: Arc::new(IssuedCode { ticket, url, life }),
        freshness,
        source: Source::Memory,
    }
}
