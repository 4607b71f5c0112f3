use super::*;
use crate::http::qrcode::fixture::issued;

#[test]
fn no_cache_may_show_a_dead_code() {
    let fresh = |floor| Freshness::Fresh {
        floor: Duration::from_secs(floor),
    };
    // granted, freshness, now, picture, text
    for (granted, freshness, now, picture, text) in [
        (
            7200,
            fresh(3600),
            0,
            "public, max-age=3600, must-revalidate",
            "public, max-age=60, must-revalidate",
        ),
        (
            7200,
            fresh(3600),
            3590,
            "public, max-age=10, must-revalidate",
            "public, max-age=10, must-revalidate",
        ),
        (7200, fresh(3600), 3600, "no-store", "no-store"),
        (7200, fresh(7200), 1, "no-store", "no-store"),
        (7200, Freshness::Stale, 0, "no-store", "no-store"),
        (
            2_592_000,
            fresh(3600),
            0,
            "public, max-age=86400, must-revalidate",
            "public, max-age=60, must-revalidate",
        ),
        (
            0,
            fresh(0),
            0,
            "public, max-age=86400, must-revalidate",
            "public, max-age=60, must-revalidate",
        ),
    ] {
        let issued = issued(granted, freshness);
        let now = Timestamp::from_second(now).unwrap();
        let got = (
            CachePolicy::for_picture(&issued, now),
            CachePolicy::for_text(&issued, now),
        );
        let got = (got.0.header(), got.1.header());
        assert_eq!(
            got,
            (picture.parse().unwrap(), text.parse().unwrap()),
            "{granted} s, {freshness:?}, at {now}"
        );
    }
}

#[test]
fn nothing_is_kept_beyond_the_end_of_the_link() {
    let now = Timestamp::from_second(1000).unwrap();
    let a_minute = CachePolicy::Public(Duration::from_mins(1));
    for (policy, end, want) in [
        (a_minute, 1030, 30),
        (a_minute, 1061, 60),
        (a_minute, 1000, 0),
        (a_minute, 900, 0),
        (CachePolicy::NoStore, 2000, 0),
    ] {
        let want = match want {
            0 => CachePolicy::NoStore,
            age => CachePolicy::Public(Duration::from_secs(age)),
        };
        let end = Timestamp::from_second(end).unwrap();
        assert_eq!(policy.until(end, now), want, "{policy:?} until {end}");
    }
}
