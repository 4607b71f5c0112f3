//! The process's limit of open files, of which every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are not visitors' connections: the store's, calls to WeChat, the metrics' listener and its clients.
/// Counted generously: 64 mints at once, and about 20 others.
const RESERVE: u64 = 256;

/// How many of so many connections the process can have, with the soft limit raised as far as needed and allowed.
pub(super) fn affordable(wanted: usize) -> usize {
    let needed = u64::try_from(wanted)
        .unwrap_or(u64::MAX)
        .saturating_add(RESERVE);
    let limit = getrlimit(Resource::Nofile);
    let raised = raised(limit, needed);
    // A machine that refuses leaves the limit as it was.
    let soft = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    wanted.min(connections_of(soft))
}

/// The limit with its soft part at what is needed, or as near to it as may be. Never lower than it was.
fn raised(limit: Rlimit, needed: u64) -> Rlimit {
    let most = limit.maximum.unwrap_or(u64::MAX);
    let current = limit.current.map(|current| current.max(needed.min(most)));
    Rlimit { current, ..limit }
}

/// How many connections that many open files allow, without what the process needs: at least half of them.
fn connections_of(soft: Option<u64>) -> usize {
    let connections = soft.map_or(u64::MAX, |soft| soft.saturating_sub(RESERVE).max(soft / 2));
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_goes_up_as_far_as_needed_and_allowed() {
        for (soft, hard, needed, want) in [
            (Some(1024), Some(524_288), 10_256, Some(10_256)),
            (Some(1024), Some(4096), 10_256, Some(4096)),
            (Some(1024), None, 10_256, Some(10_256)),
            (Some(20_000), Some(20_000), 10_256, Some(20_000)),
            (None, None, 10_256, None),
        ] {
            let limit = Rlimit {
                current: soft,
                maximum: hard,
            };
            let got = raised(limit, needed);
            assert_eq!((got.current, got.maximum), (want, hard), "{limit:?}");
        }
    }

    #[test]
    fn the_process_keeps_some_for_itself() {
        for (soft, want) in [
            (Some(10_256), 10_000),
            (Some(1024), 768),
            (Some(300), 150),
            (Some(1), 1),
            (None, usize::MAX),
        ] {
            assert_eq!(connections_of(soft), want, "soft limit {soft:?}");
        }
    }
}
