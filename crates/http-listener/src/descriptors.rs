//! The process's limit of open files, of which every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are not visitors' connections: 400 pushes on their way to the relay, 64 mints at once, 64 clients of the
/// metrics' listener, and some 50 of the store and others; rounded up.
const RESERVE: u64 = 768;

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
            (Some(1024), Some(524_288), 10_768, Some(10_768)),
            (Some(1024), Some(4096), 10_768, Some(4096)),
            (Some(1024), None, 10_768, Some(10_768)),
            (Some(20_000), Some(20_000), 10_768, Some(20_000)),
            (None, None, 10_768, None),
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
            (Some(10_768), 10_000),
            (Some(2048), 1280),
            (Some(1024), 512),
            (Some(1), 1),
            (None, usize::MAX),
        ] {
            assert_eq!(connections_of(soft), want, "soft limit {soft:?}");
        }
    }
}
