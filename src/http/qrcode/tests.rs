use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use jiff::Timestamp;

use crate::access::{Caller, Key, Link, LinkKeys, Mode, Visitor};
use crate::codes::Freshness;
use crate::http::extract::query::QrcodeQuery;
use crate::http::microcache::Cacheable;
use crate::http::negotiation::view::View;
use crate::http::qrcode::caching::CachePolicy;
use crate::http::qrcode::fixture::{issued, site};
use crate::http::qrcode::link::LinkSigner;
use crate::http::qrcode::presentation::Presentation;
use crate::http::qrcode::presentation::renewal;
use crate::http::qrcode::request::QrcodeRequest;
use crate::pictures::PictureCache;

#[test]
fn a_page_is_renewed_before_its_code_dies_even_from_a_cache() {
    for granted in [20, 21, 30, 60, 120, 121, 240, 600, 7200, 2_592_000] {
        for share in [0.5, 1.0] {
            let floor = Duration::from_secs(granted).mul_f64(share);
            let issued = issued(granted, Freshness::Fresh { floor });
            let last = granted - floor.as_secs();
            for now in (0..=last).step_by(usize::try_from(last / 50 + 1).unwrap()) {
                let now = Timestamp::from_second(now.try_into().unwrap()).unwrap();
                let policy = CachePolicy::for_page(&issued, now);
                let cached = match policy {
                    CachePolicy::NoStore => 0,
                    CachePolicy::Public(age) => age.as_secs(),
                };
                let wait = renewal(&issued, now).unwrap();
                let left = issued.code.left(now).unwrap().as_secs();
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
        let issued = issued(granted, Freshness::Fresh { floor });
        let now = Timestamp::from_second(now).unwrap();
        assert_eq!(renewal(&issued, now), Some(want), "{granted} s at {now}");
    }
}

fn request(path: &str, key: Option<Arc<Key>>) -> QrcodeRequest {
    let uri: Uri = path.parse().unwrap();
    let query = QrcodeQuery::parse(uri.query().unwrap()).unwrap();
    let hour = "3600".parse().unwrap();
    QrcodeRequest {
        view: View::of(&uri, &HeaderMap::new(), ""),
        spec: query.code_spec(hour).unwrap(),
        style: query.style().unwrap(),
        query,
        caller: Caller {
            key,
            visitor: Visitor::V4(Ipv4Addr::LOCALHOST),
            link: Link::Unsigned,
            is_prefetch: false,
        },
    }
}

#[tokio::test]
async fn what_every_visitor_gets_is_offered_to_the_microcache() {
    let site = site();
    let pictures = PictureCache::new();
    let signer = LinkSigner::new(Mode::Open, LinkKeys::default());
    let key = Arc::new("poster:0123456789abcdef:mint".parse::<Key>().unwrap());
    let fresh = Freshness::Fresh {
        floor: Duration::from_mins(30),
    };
    for (key, freshness, offered) in [
        (None, fresh, true),
        (Some(key), fresh, false),
        (None, Freshness::Stale, false),
    ] {
        for form in ["", ".json", ".png", ".svg", ".jpg"] {
            let path = format!("/qrcode{form}?scene_id=1");
            let presentation = Presentation {
                site: &site,
                signer: &signer,
                request: &request(&path, key.clone()),
                issued: issued(3600, freshness),
                now: Timestamp::UNIX_EPOCH,
            };
            let response = presentation.respond(&pictures, &HeaderMap::new()).await;
            let response = response.unwrap();
            let got = response.extensions().get::<Cacheable>().is_some();
            assert_eq!(got, offered, "{path} {freshness:?}");
        }
    }
}
