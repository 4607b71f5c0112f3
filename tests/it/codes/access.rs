//! Authorization of new codes: modes, signed links, keys, visitors and their addresses.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use wechat_sandbox::{FaultKind, Target};
use wxqr::clock::{Clock as _, SystemClock};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, Builder, TestApp};
use crate::support::keys::{self, signed, signed_by};
use crate::support::process::Process;
use crate::support::{client, eventually_async};

fn in_mode(mode: &str) -> Builder {
    TestApp::with()
        .set("ACCESS", mode)
        .set("LINK_KEYS", keys::LINK)
}

async fn ask(app: &TestApp, query: &str) -> Answer {
    app.get(&format!("/qrcode.json?{query}")).await
}

fn refused(answer: &Answer) -> (u16, String) {
    answer.problem()
}

#[tokio::test]
async fn the_access_mode_limits_minting_and_known_codes_are_public() {
    let not_allowed = (403, "mint_not_allowed".to_owned());
    for (mode, unsigned, by_link) in [
        ("open", true, true),
        ("signed", false, true),
        ("keyed", false, false),
    ] {
        let app = in_mode(mode).spawn().await;
        for (query, may) in [
            ("scene_id=1".to_owned(), unsigned),
            (signed("scene_id=2"), by_link),
            (signed("exp=4102444800&scene_id=3"), by_link),
        ] {
            let answer = ask(&app, &query).await;
            if may {
                assert_eq!(answer.status, StatusCode::OK, "{mode}: {query}");
            } else {
                assert_eq!(refused(&answer), not_allowed, "{mode}: {query}");
                assert_eq!(answer.header("cache-control"), "no-store");
            }
        }
        // A key without the scope is a visitor.
        let answer = app.get_as(keys::STATS, "/qrcode.json?scene_id=4").await;
        assert_eq!(answer.status == StatusCode::OK, unsigned, "{mode}");
        let made = app.get_as(keys::MINT, "/qrcode.json?scene_id=5").await;
        assert_eq!(made.status, StatusCode::OK, "{mode}");
        let creates = app.creates();
        assert_eq!(ask(&app, "scene_id=5").await.ticket(), made.ticket());
        assert_eq!(app.creates(), creates, "{mode}");
    }
}

#[tokio::test]
async fn a_permanent_code_is_never_made_by_a_link() {
    for mode in ["open", "signed", "keyed"] {
        let app = in_mode(mode).spawn().await;
        let query = signed("permanent=true&scene_id=7");
        for key in [None, Some(keys::MINT), Some(keys::STATS)] {
            let path = format!("/qrcode.json?{query}");
            let answer = match key {
                None => app.get(&path).await,
                Some(key) => app.get_as(key, &path).await,
            };
            assert_eq!(
                refused(&answer),
                (403, "mint_not_allowed".to_owned()),
                "{mode} {key:?}"
            );
        }
        assert_eq!(app.creates(), 0, "{mode}");
        let path = "/qrcode.json?permanent=true&scene_id=7";
        assert_eq!(
            app.get_as(keys::PERMANENT, path).await.status,
            StatusCode::OK
        );
        assert_eq!(
            ask(&app, &query).await.status,
            StatusCode::OK,
            "it exists now"
        );
    }
}

#[tokio::test]
async fn a_signature_that_is_given_must_be_good_in_every_mode() {
    for mode in ["open", "signed", "keyed"] {
        let app = in_mode(mode).spawn().await;
        // The code exists, so nothing but the signature can be refused.
        assert_eq!(
            app.get_as(keys::MINT, "/qrcode?scene_id=1").await.status,
            StatusCode::OK
        );
        let good = signed("scene_id=1");
        let other = signed_by("another-key", "scene_id=1");
        for (query, want) in [
            (good.clone(), (200, "")),
            (format!("size=500&{good}&lang=en"), (200, "")),
            (other, (403, "bad_signature")),
            (
                good.replace("scene_id=1", "scene_id=2"),
                (403, "bad_signature"),
            ),
            (format!("{good}A"), (403, "bad_signature")),
            (format!("{good}="), (403, "bad_signature")),
            (format!("{good}&expire_seconds=60"), (403, "bad_signature")),
            (format!("{good}&exp=4102444800"), (403, "bad_signature")),
            ("scene_id=1&sig=".to_owned(), (403, "bad_signature")),
            (signed("exp=1&scene_id=1"), (403, "link_expired")),
            (
                "scene_id=1&exp=4102444800".to_owned(),
                (400, "invalid_parameter"),
            ),
            (signed("exp=01&scene_id=1"), (400, "invalid_parameter")),
            (format!("{good}&sig=x"), (400, "invalid_parameter")),
        ] {
            let answer = ask(&app, &query).await;
            let got = if answer.status == StatusCode::OK {
                (200, String::new())
            } else {
                answer.problem()
            };
            assert_eq!((got.0, got.1.as_str()), want, "{mode}: {query}");
        }
    }
}

#[tokio::test]
async fn one_signature_covers_every_representation_and_is_passed_on() {
    let app = in_mode("signed").spawn().await;
    let query = signed("exp=4102444800&expire_seconds=3600&scene_str=%E5%B1%95%E4%BC%9A%20A%2B1");
    for path in ["/qrcode", "/qrcode.json", "/qrcode.png", "/qrcode.svg"] {
        let answer = app.get(&format!("{path}?{query}&color=036")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let json = ask(&app, &query).await;
    let link = json.field("png_url");
    assert_eq!(app.get(&link).await.status, StatusCode::OK, "{link}");
    assert!(
        link.contains("exp=4102444800") && link.contains("sig="),
        "{link}"
    );
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn links_for_a_key_are_signed_where_visitors_need_it_and_in_no_cache() {
    let app = in_mode("signed").spawn().await;
    let answer = app
        .get_as(
            keys::MINT,
            "/qrcode.json?scene_id=1&expire_seconds=60&color=036",
        )
        .await;
    let link = answer.field("png_url");
    assert!(link.contains("&sig="), "{link}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let svg = answer.field("svg_url").replace("scene_id=1", "scene_id=2");
    assert_eq!(app.get(&svg).await.problem().1, "bad_signature");

    let posted = app
        .request(Method::POST, "/api/codes")
        .bearer_auth(keys::MINT)
        .body(r#"{"scene_str": "a b", "expire_seconds": 60}"#);
    let link = Answer::to(posted).await.field("svg_url");
    assert!(link.contains("expire_seconds=60&sig="), "{link}");

    // The link mints by itself once its code is gone: a service that knows no code takes it.
    let fresh = in_mode("signed").spawn().await;
    assert_eq!(fresh.get(&link).await.status, StatusCode::OK, "{link}");
    assert_eq!(fresh.creates(), 1);

    for (key, path) in [
        (keys::STATS, "/qrcode.json?scene_id=1"),
        (keys::PERMANENT, "/qrcode.json?scene_id=9&permanent=true"),
    ] {
        let answer = app.get_as(key, path).await;
        assert!(!answer.field("png_url").contains("sig="), "{path}");
    }
    let anonymous = ask(&app, "scene_id=1&expire_seconds=60").await;
    assert!(!anonymous.text().contains("sig="));
    assert!(anonymous.header("cache-control").starts_with("public"));
    assert_eq!(anonymous.header("vary"), "authorization", "not for the key");
}

#[tokio::test]
async fn no_cache_keeps_a_code_beyond_its_link() {
    let app = in_mode("open").spawn().await;
    let soon = SystemClock.now().as_second() + 30;
    let query = signed(&format!("exp={soon}&scene_id=1"));
    for path in ["/qrcode", "/qrcode.json", "/qrcode.png", "/qrcode.jpg"] {
        let control = app
            .get(&format!("{path}?{query}"))
            .await
            .header("cache-control");
        let age = control
            .strip_prefix("public, max-age=")
            .and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        assert!(age.is_some_and(|age| age <= 30), "{path}: {control}");
    }
}

#[tokio::test]
async fn rate_limit_counts_mints_and_no_reads() {
    let app = in_mode("open")
        .set("VISITOR_RATE", "3/1h")
        .set("TRUSTED_PROXIES", "127.0.0.1")
        .spawn()
        .await;
    let from = |address: &'static str, id: u32| {
        let path = format!("/qrcode.json?scene_id={id}");
        let request = app.request(Method::GET, &path);
        Answer::to(request.header("x-forwarded-for", address))
    };
    for id in 1..=3 {
        assert_eq!(from("192.0.2.1", id).await.status, StatusCode::OK);
    }
    let limited = from("192.0.2.1", 4).await;
    assert_eq!(limited.problem(), (429, "rate_limited".to_owned()));
    assert!((1..=1200).contains(&limited.retry_after().unwrap()));
    for id in 1..=3 {
        assert_eq!(
            from("192.0.2.1", id).await.status,
            StatusCode::OK,
            "it is known"
        );
    }
    // Addresses left of the one that the proxy saw can be forged.
    assert_eq!(
        from("203.0.113.9, 192.0.2.1", 4).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(from("192.0.2.2", 4).await.status, StatusCode::OK);
    // Rates are per visitor, and joining costs nothing.
    assert_eq!(from("192.0.2.1", 4).await.status, StatusCode::OK);
    for (n, address) in ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
        .into_iter()
        .enumerate()
    {
        let id = 10 + u32::try_from(n).unwrap();
        assert_eq!(from(address, id).await.status, StatusCode::OK);
    }
    assert_eq!(
        from("2001:db8::ffff", 20).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(from("2001:db8:0:1::1", 20).await.status, StatusCode::OK);
    let key = app.request(Method::GET, "/qrcode.json?scene_id=30");
    let key = key
        .bearer_auth(keys::MINT)
        .header("x-forwarded-for", "192.0.2.1");
    assert_eq!(
        Answer::to(key).await.status,
        StatusCode::OK,
        "a key pays no rate"
    );
}

#[tokio::test]
async fn a_forwarded_address_from_a_stranger_is_not_believed() {
    let app = in_mode("open").set("VISITOR_RATE", "2/1h").spawn().await;
    let asking = (1..=10).map(|id| {
        let path = format!("/qrcode.json?scene_id={id}");
        let request = app.request(Method::GET, &path);
        Answer::to(request.header("x-forwarded-for", format!("192.0.2.{id}")))
    });
    let answers = join_all(asking).await;
    let made = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK);
    assert_eq!((made.count(), app.creates()), (2, 2));
}

#[tokio::test]
async fn rate_token_is_refunded_if_no_mint_call_left() {
    let app = in_mode("open").set("VISITOR_RATE", "1/1h").spawn().await;
    assert_eq!(
        app.get_as(keys::MINT, "/qrcode.json?scene_id=1")
            .await
            .status,
        StatusCode::OK
    );
    app.fail(Target::Token, FaultKind::Errcode(-1));
    app.sandbox.expire_tokens();
    for id in 2..=5 {
        let answer = ask(&app, &format!("scene_id={id}")).await;
        assert_ne!(answer.problem().1, "rate_limited", "scene {id}");
    }
    app.heal();
    eventually_async("the one mint of the hour", || async {
        ask(&app, "scene_id=9").await.status == StatusCode::OK
    })
    .await;
    assert_eq!(ask(&app, "scene_id=10").await.problem().1, "rate_limited");
}

#[tokio::test]
async fn a_forwarded_address_from_a_stranger_is_logged_once() {
    let (process, addresses) = Process::serve(&[
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", "http://127.0.0.1:1"),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
    ])
    .await;
    let ask = || {
        let url = format!("http://{}/qrcode?scene_id=0", addresses.http);
        Answer::to(client().get(url).header("x-forwarded-for", "192.0.2.1"))
    };
    for _ in 0..3 {
        assert_eq!(ask().await.status, StatusCode::BAD_REQUEST);
    }
    let line = process.wait_for_line("X-Forwarded-For").await;
    assert!(line.contains("WXQR_TRUSTED_PROXIES"), "{line}");
    assert_eq!(process.stderr().matches("X-Forwarded-For").count(), 1);
}

#[tokio::test]
async fn rate_limit_is_not_charged_once_the_budget_is_used_up() {
    let app = in_mode("open")
        .set("VISITOR_RATE", "1/1h")
        .set("ANONYMOUS_BUDGET", "0")
        .spawn()
        .await;
    for id in 1..=5 {
        let answer = ask(&app, &format!("scene_id={id}")).await;
        assert_eq!(answer.problem(), (429, "budget_exhausted".to_owned()));
    }
    assert_eq!(
        app.get_as(keys::MINT, "/qrcode.json?scene_id=1")
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(ask(&app, "scene_id=1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_link_of_the_api_asks_for_the_life_that_was_ordered() {
    let app = in_mode("signed").spawn().await;
    for (life, want) in [(2_592_000, "2592000"), (60, "60")] {
        let posted = app
            .request(Method::POST, "/api/codes")
            .bearer_auth(keys::MINT)
            .body(format!(r#"{{"scene_id": 1, "expire_seconds": {life}}}"#));
        let link = Answer::to(posted).await.field("png_url");
        assert!(
            link.contains(&format!("expire_seconds={want}&sig=")),
            "{link}"
        );
    }
}

#[tokio::test]
async fn an_empty_signature_is_a_bad_one_on_the_first_page_too() {
    let app = in_mode("open").spawn().await;
    let page = app.get("/?scene_id=5&sig=&lang=en").await;
    assert!(page.text().contains("signature"), "{}", page.text());
    assert_eq!(app.creates(), 0);
}
