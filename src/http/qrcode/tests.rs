use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Freshness;
use crate::http::qrcode::caching::CachePolicy;
use crate::http::qrcode::fixture::served;
use crate::http::qrcode::presentation::renewal;

#[test]
fn a_page_is_renewed_before_its_code_dies_even_from_a_cache() {
    for granted in [20, 21, 30, 60, 120, 121, 240, 600, 7200, 2_592_000] {
        for share in [0.5, 1.0] {
            let floor = Duration::from_secs(granted).mul_f64(share);
            let served = served(granted, Freshness::Fresh { floor });
            let last = granted - floor.as_secs();
            for now in (0..=last).step_by(usize::try_from(last / 50 + 1).unwrap()) {
                let now = Timestamp::from_second(now.try_into().unwrap()).unwrap();
                let policy = CachePolicy::for_page(&served, now);
                let cached = match policy {
                    CachePolicy::NoStore => 0,
                    CachePolicy::Public(age) => age.as_secs(),
                };
                let wait = renewal(&served, now).unwrap();
                let left = served.code.left(now).unwrap().as_secs();
                let case = format!("{granted} s, floor {floor:?}, {left} s left, {policy:?}");
                assert!(wait >= 10, "{case}: renewed in {wait} s");
                assert!(cached + wait <= left, "{case}: renewed in {wait} s");
            }
        }
    }
}

#[test]
fn a_page_waits_until_a_newer_code_can_be_had() {
    // granted, floor, now, renewed in
    for (granted, floor, now, want) in [
        (7200, 3600, 0, 7081),
        (7200, 3600, 3600, 3481),
        (120, 60, 0, 61),
        (120, 60, 60, 10),
        (21, 10, 0, 12),
        (5, 2, 0, 10),
    ] {
        let floor = Duration::from_secs(floor);
        let served = served(granted, Freshness::Fresh { floor });
        let now = Timestamp::from_second(now).unwrap();
        assert_eq!(renewal(&served, now), Some(want), "{granted} s at {now}");
    }
}
