//! The in-memory cache of codes, in front of the database: a cached code costs no SQL.
//!
//! Codes are many and small, so it counts what the cache itself needs for each: some 60 bytes.

use std::sync::Arc;

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

/// The latest code of each scene. Clones are handles to the same cache.
#[derive(Debug, Clone)]
pub(super) struct CodeCache(Arc<Cache<Scene, Arc<IssuedCode>>>);

impl CodeCache {
    /// Creates a cache of at most `entries` codes; beyond them the least used ones are evicted.
    pub(super) fn new(entries: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        Self(Arc::new(Cache::new(entries)))
    }

    /// Returns the code of a scene, expired or not.
    pub(super) fn get(&self, scene: &Scene) -> Option<Arc<IssuedCode>> {
        self.0.get(scene)
    }

    /// Keeps a code, unless one that was minted later is there already.
    pub(super) fn keep(&self, scene: &Scene, code: Arc<IssuedCode>) {
        let entry = self.0.entry(scene, None, |_, known| {
            if known.minted_at() <= code.minted_at() {
                *known = Arc::clone(&code);
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = entry {
            // Refused where the entry was evicted meanwhile.
            place.insert(code).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wechat::ticket::Life;

    use super::*;

    fn scene(number: u32) -> Scene {
        format!("QR_STR_SCENE:shop-{number}").parse().unwrap()
    }

    fn code(ticket: &str, minted_at: i64) -> Arc<IssuedCode> {
        Arc::new(IssuedCode {
            ticket: ticket.parse().unwrap(),
            url: "http://weixin.qq.com/q/02mQ9rk1aQf6D10000M07H"
                .parse()
                .unwrap(),
            life: Life::Temporary {
                minted_at: Timestamp::from_second(minted_at).unwrap(),
                asked: 7200.try_into().unwrap(),
                granted: 7200.try_into().unwrap(),
            },
        })
    }

    #[test]
    fn the_code_that_was_minted_last_is_kept() {
        let cache = CodeCache::new(10);
        for (ticket, minted_at, kept) in [
            ("first", 5, "first"),
            ("older", 4, "first"),
            ("equal", 5, "equal"),
            ("later", 6, "later"),
        ] {
            cache.keep(&scene(1), code(ticket, minted_at));
            let found = cache.get(&scene(1)).unwrap();
            assert_eq!(found.ticket.as_str(), kept, "after {ticket}");
        }
        assert!(cache.get(&scene(2)).is_none());
    }

    #[test]
    fn no_more_codes_than_allowed_are_kept() {
        let cache = CodeCache::new(1000);
        for number in 0..5000 {
            cache.keep(&scene(number), code("t", 1));
        }
        let kept = (0..5000).filter(|number| cache.get(&scene(*number)).is_some());
        assert!((900..=1000).contains(&kept.count()));
    }

    /// Without the texts, which have some 200 bytes: keys and what the cache keeps for itself, and
    /// the code with its counters.
    #[test]
    fn a_cached_code_takes_little_more_than_its_texts() {
        const CODES: u32 = 50_000;
        let cache = CodeCache::new(CODES.into());
        for number in 0..CODES {
            cache.keep(&scene(number), code("t", 1));
        }
        let of_cache = cache.0.memory_used().total() / CODES as usize;
        let of_code = 2 * size_of::<usize>() + size_of::<IssuedCode>();
        assert!(of_cache <= 96, "{of_cache}");
        assert!(of_code <= 80, "{of_code}");
    }
}
