//! Limits of the connections that clients open: the policy that the listener is given.

use std::time::Duration;

use http_listener::Limits;

use crate::codes;
use crate::config::Config;
use crate::http;
use crate::statistics;

/// Connections of the metrics listener: a few collectors, and operators with a browser.
const METRICS_CONNECTIONS: usize = 64;

/// Connections of `wxqr sandbox`.
const SANDBOX_CONNECTIONS: usize = 10_000;

/// Header timeout of `wxqr sandbox`.
const SANDBOX_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Body timeout: the largest JSON body, half a MiB, at 18 kB a second; the largest file, 4 MiB, at
/// 140 kB a second, which a file of 10,000 rows rarely has.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Time before the minimum rate of a body applies: as long as WeChat waits for an answer. A small
/// body that has not arrived by then never does.
const BODY_GRACE: Duration = http::WECHAT_TIMEOUT;

/// Minimum rate of a body, in bytes a second. A client that sends 64 KiB and stops is closed after
/// 9 s.
const MIN_BODY_RATE: u32 = 16 * 1024;

// The largest body is fast enough if it arrives within its timeout.
const _: () = assert!(
    BODY_GRACE.as_secs() + http::MAX_BODY as u64 / MIN_BODY_RATE as u64 >= BODY_TIMEOUT.as_secs()
);

/// Write timeout. A picture has some kB, a list of codes some MB at most: 3 MB at 50 kB a second.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// Rate at which a response may take longer, in bytes a second: archives of thousands of pictures,
/// and statistics of very many codes and days. A slow line has some 16 KiB.
const MIN_WRITE_RATE: u32 = 16 * 1024;

/// Idle timeout: above the minute after which proxies commonly close an idle connection. They
/// should close it first, because a request may be on its way to a connection that we close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Byte budget of unfinished heads. The largest cookies of a thousand honest clients fit; 10,000
/// heads of the largest kind do not.
const MAX_UNFINISHED_HEAD_BYTES: usize = 16 * 1024 * 1024;

/// Open files of the database, the logs and others.
const OTHER_FILES: usize = 50;

/// Open files that are kept from clients' connections.
const RESERVED_FILES: u64 = 768;

const _: () = assert!(
    RESERVED_FILES
        >= (statistics::MAX_FORWARDED
            + codes::MAX_CONCURRENT_MINTS
            + METRICS_CONNECTIONS
            + OTHER_FILES) as u64
);

/// Returns the limits of the service, as far as the limit of open files allows.
pub(super) fn service_limits(config: &Config) -> Limits {
    let limits = limits(config.max_connections, config.header_timeout);
    if limits.max_connections != config.max_connections {
        tracing::warn!(
            connections = limits.max_connections,
            "the limit of open files allows fewer connections than WXQR_MAX_CONNECTIONS"
        );
    }
    limits
}

/// Returns the limits of the metrics listener, beside a service with these limits.
pub(super) fn metrics_limits(service: Limits) -> Limits {
    Limits {
        max_connections: METRICS_CONNECTIONS,
        ..service
    }
}

/// Returns the limits of `wxqr sandbox`, as far as the limit of open files allows.
pub fn sandbox_limits() -> Limits {
    limits(SANDBOX_CONNECTIONS, SANDBOX_HEADER_TIMEOUT)
}

fn limits(max_connections: usize, header_timeout: Duration) -> Limits {
    let limits = Limits {
        max_connections,
        header_timeout,
        body_timeout: BODY_TIMEOUT,
        body_grace: BODY_GRACE,
        min_body_rate: MIN_BODY_RATE,
        write_timeout: WRITE_TIMEOUT,
        min_write_rate: MIN_WRITE_RATE,
        idle_timeout: IDLE_TIMEOUT,
        max_head_bytes: http::MAX_HEAD,
        max_unfinished_head_bytes: MAX_UNFINISHED_HEAD_BYTES,
    };
    limits.within_open_files(RESERVED_FILES)
}

#[cfg(test)]
mod tests;
