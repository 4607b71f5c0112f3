//! Codes, and a site that shows them, for tests.

use std::sync::Arc;

use jiff::Timestamp;
use wechat::ticket::{IssuedCode, Life};

use crate::codes::{Freshness, Issued, Source};
use crate::http::site::Site;

pub(crate) fn site() -> Site {
    Site {
        public_url: String::new(),
        image_base: "https://mp.weixin.qq.com".to_owned(),
        frame_ancestors: "*".to_owned(),
        sandbox: false,
        has_callback: false,
        demo_key: None,
    }
}

/// A code minted at the epoch, for so many seconds; 0 means permanent.
pub(crate) fn issued(granted: u64, freshness: Freshness) -> Issued {
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
