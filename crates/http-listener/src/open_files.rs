//! The process's limit of open files (`RLIMIT_NOFILE`): every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns how many of the `wanted` connections the process can have beside `reserved` other files.
///
/// Raises the soft limit as far as needed and allowed.
pub(crate) fn affordable(wanted: usize, reserved: u64) -> usize {
    let needed = u64::try_from(wanted)
        .unwrap_or(u64::MAX)
        .saturating_add(reserved);
    let limit = getrlimit(Resource::Nofile);
    let raised = raised(limit, needed);
    let soft = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    wanted.min(connections_of(soft, reserved))
}

/// Returns the limit with its soft part raised to `needed`, or to the hard part if that is lower.
fn raised(limit: Rlimit, needed: u64) -> Rlimit {
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let current = limit.current.map(|soft| soft.max(needed.min(hard)));
    Rlimit { current, ..limit }
}

/// Returns how many connections a soft limit allows: at least half of it, and at least 1.
fn connections_of(soft: Option<u64>, reserved: u64) -> usize {
    let connections = soft.map_or(u64::MAX, |soft| soft.saturating_sub(reserved).max(soft / 2));
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_as_far_as_needed_and_allowed() {
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
    fn reserved_files_are_kept_from_connections() {
        for (soft, want) in [
            (Some(10_768), 10_000),
            (Some(2048), 1280),
            (Some(1024), 512),
            (Some(1), 1),
            (None, usize::MAX),
        ] {
            assert_eq!(connections_of(soft, 768), want, "soft limit {soft:?}");
        }
    }
}
