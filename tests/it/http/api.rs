//! `/api`, for programs that hold a key: making, recording and listing codes, and how the account
//! stands.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use wechat_sandbox::{Api, FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::{APP_SECRET, TestApp};
use crate::support::eventually_async;
use crate::support::keys::{ADMIN, BIND, MINT, PEOPLE, PERMANENT, STATS};
use crate::support::pushes::{AES_KEY, TOKEN};

async fn post(app: &TestApp, key: &str, body: &Value) -> Answer {
    app.post_as(key, "/api/codes", body.to_string()).await
}

/// The permanent stock, as `(used, unknown)`.
async fn stock(app: &TestApp) -> (u64, u64) {
    let permanent = &app.get_as(STATS, "/api/account").await.json()["permanent"];
    let number = |name: &str| permanent[name].as_u64().unwrap();
    (number("used"), number("unknown"))
}

/// The scenes of a page of the list, as `kind:scene`.
fn listed(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let scene = item["scene_id"]
                .as_u64()
                .map(|id| id.to_string())
                .or_else(|| item["scene_str"].as_str().map(str::to_owned));
            format!(
                "{}:{}",
                item["action_name"].as_str().unwrap(),
                scene.unwrap()
            )
        })
        .collect()
}

fn names(object: &Value) -> BTreeSet<&str> {
    let fields = object.as_object().unwrap();
    fields.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_code_is_made_once_and_known_after() {
    let app = TestApp::spawn().await;
    let wanted = json!({"scene_id": 123, "expire_seconds": 600});
    let first = post(&app, MINT, &wanted).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let second = post(&app, MINT, &wanted).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    assert_eq!(first.ticket(), second.ticket());
    assert_eq!(app.creates(), 1);
    assert_eq!(
        names(&first.json()),
        BTreeSet::from([
            "scene_id",
            "permanent",
            "action_name",
            "ticket",
            "url",
            "expire_seconds",
            "expires_at",
            "image_url",
            "png_url",
            "svg_url",
            "archived",
            "created_at"
        ]),
        "no label and no group, because there are none"
    );
    for answer in [&first, &second] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_seconds_count_from_the_date(&answer.json(), answer);
    }
}

/// The remaining lifetime is that at the header `Date`.
fn assert_seconds_count_from_the_date(code: &Value, answer: &Answer) {
    let date = jiff::fmt::rfc2822::parse(&answer.header("date")).unwrap();
    let end: Timestamp = code["expires_at"].as_str().unwrap().parse().unwrap();
    let left = end.as_second() - date.timestamp().as_second();
    assert_eq!(code["expire_seconds"], left, "{code}");
}

#[tokio::test]
async fn a_given_name_replaces_an_absent_one_stays_and_null_clears() {
    let app = TestApp::spawn().await;
    for (given, label, group) in [
        (json!({}), json!(null), json!(null)),
        (json!({"label": "Poster 7"}), json!("Poster 7"), json!(null)),
        (
            json!({"group": "上海 & more"}),
            json!("Poster 7"),
            json!("上海 & more"),
        ),
        (json!({}), json!("Poster 7"), json!("上海 & more")),
        (json!({"label": null}), json!(null), json!("上海 & more")),
        (
            json!({"label": "Poster 8"}),
            json!("Poster 8"),
            json!("上海 & more"),
        ),
        (json!({"group": ""}), json!("Poster 8"), json!(null)),
    ] {
        let mut wanted = given.clone();
        wanted["scene_str"] = json!("poster");
        let code = post(&app, MINT, &wanted).await.json();
        assert_eq!(code["label"], label, "after {given}");
        assert_eq!(code["group"], group, "after {given}");
    }
    assert_eq!(app.creates(), 1);
    let other_kind = json!({"scene_str": "poster", "permanent": true});
    let code = post(&app, PERMANENT, &other_kind).await.json();
    assert_eq!(
        code["label"],
        json!(null),
        "names belong to the scene and its kind"
    );
}

#[tokio::test]
async fn names_of_a_temporary_code_change_without_a_new_one() {
    for reuse in ["0.5", "1"] {
        let app = TestApp::with().set("REUSE", reuse).spawn().await;
        let stand = json!({"scene_str": "stand", "expire_seconds": 600, "label": "Stand"});
        let first = post(&app, MINT, &stand).await;
        let given = json!({"group": "Fair", "archived": true, "reply": "Welcome!"});
        for (name, value) in given.as_object().unwrap() {
            let mut names = json!({"scene_str": "stand", "renew": false});
            names[name] = value.clone();
            let kept = post(&app, MINT, &names).await;
            assert_eq!(kept.status, StatusCode::OK, "{reuse}: {kept:?}");
            assert_eq!(kept.ticket(), first.ticket(), "{reuse}: {name}");
            let links = |answer: &Answer| answer.json()["svg_url"].clone();
            assert_eq!(links(&kept), links(&first), "{reuse}: {name}");
        }
        let listed = app.get_as(STATS, "/api/codes?archived=true").await.json();
        let code = &listed["items"][0];
        assert_eq!(
            (&code["label"], &code["group"]),
            (&json!("Stand"), &json!("Fair"))
        );
        assert_eq!(app.creates(), 1, "{reuse}");

        // A request that renews replaces a code with too little of its lifetime left.
        let names = json!({"scene_str": "stand", "group": "Fair", "renew": true});
        let new = post(&app, MINT, &names).await;
        assert_eq!(new.status, StatusCode::CREATED, "{reuse}: {new:?}");
        // What is not there cannot be kept.
        let other = json!({"scene_str": "other", "expire_seconds": 600, "renew": false});
        let other = post(&app, MINT, &other).await;
        assert_eq!(other.status, StatusCode::CREATED, "{reuse}: {other:?}");
        assert!(
            other.json()["expire_seconds"].as_u64().unwrap() > 590,
            "{other:?}"
        );
        let without_scope = json!({"scene_str": "stand", "renew": false});
        let refused = post(&app, STATS, &without_scope).await;
        assert_eq!(refused.problem(), (403, "scope_missing".to_owned()));
    }
}

#[tokio::test]
async fn a_code_that_is_about_to_end_is_not_kept() {
    let app = TestApp::spawn().await;
    let wanted = json!({"scene_id": 1, "expire_seconds": 9, "renew": false});
    for _ in 0..2 {
        // Less than ten seconds of it are left.
        let made = post(&app, MINT, &wanted).await;
        assert!(made.status.is_success(), "{made:?}");
    }
    let longer = json!({"scene_id": 1, "expire_seconds": 600, "renew": false});
    let made = post(&app, MINT, &longer).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}

#[tokio::test]
async fn a_reply_is_a_text_or_a_card_and_null_clears_it() {
    let app = TestApp::with()
        .set("CALLBACK_TOKEN", "callbacktokenOfTheTests")
        .spawn()
        .await;
    let text = json!({"text": "欢迎 <b>\n]]>"});
    let card = json!({"news": {"title": "Sale", "description": "Today", "image_url": "https://example.com/a.png", "url": "https://example.com/?a=b"}});
    let short = json!({"news": {"title": "Sale", "url": "https://example.com/"}});
    for (given, want) in [
        (json!({}), json!(null)),
        (json!({"reply": text}), text.clone()),
        (json!({"label": "Poster"}), text.clone()),
        (json!({"reply": card}), card.clone()),
        (json!({"reply": null}), json!(null)),
        (
            json!({"reply": "short for a text"}),
            json!({"text": "short for a text"}),
        ),
        (json!({"reply": ""}), json!(null)),
        (
            json!({"reply": {"news": {"title": "Sale", "description": "", "image_url": "", "url": "https://example.com/"}}}),
            short.clone(),
        ),
        (json!({}), short.clone()),
    ] {
        let mut wanted = given.clone();
        wanted["scene_str"] = json!("poster");
        let code = post(&app, MINT, &wanted).await.json();
        assert_eq!(code["reply"], want, "after {given}");
        assert_eq!(code["warnings"], json!(null));
        let list = app.get_as(STATS, "/api/codes").await.json();
        assert_eq!(list["items"][0]["reply"], want, "after {given}");
    }
    let http = json!({"scene_str": "poster", "reply": {"news": {"title": "Sale", "image_url": "http://example.com/a.png", "url": "http://example.com/"}}});
    let code = post(&app, MINT, &http).await.json();
    let warnings = code["warnings"].as_array().unwrap();
    let named = |(warning, field): (&Value, &str)| warning.as_str().unwrap().starts_with(field);
    let fields = ["reply.news.image_url ", "reply.news.url "];
    assert!(warnings.iter().zip(fields).all(named), "{code}");
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_reply_without_a_callback_is_kept_with_a_warning() {
    let app = TestApp::spawn().await;
    let wanted = json!({"scene_str": "poster", "reply": "hello"});
    let code = post(&app, MINT, &wanted).await.json();
    assert_eq!(code["reply"], json!({"text": "hello"}));
    let warnings = json!(["reply is not sent, because WXQR_CALLBACK_TOKEN is not set"]);
    assert_eq!(code["warnings"], warnings);
}

#[tokio::test]
async fn a_reply_that_cannot_be_sent_is_refused_with_the_field() {
    let app = TestApp::spawn().await;
    let card = |field: &str, value: &str| {
        let mut card = json!({"title": "a", "url": "https://example.com/"});
        card[field] = json!(value);
        json!({"news": card})
    };
    for (reply, parameter, reason) in [
        (json!({"text": ""}), "reply.text", "must not be empty"),
        (json!({"text": " \n"}), "reply.text", "must not be empty"),
        (
            json!("展".repeat(601)),
            "reply",
            "must have at most 600 characters",
        ),
        (
            json!({"text": "展".repeat(601)}),
            "reply.text",
            "must have at most 600 characters",
        ),
        (
            json!({"text": "🎪".repeat(513)}),
            "reply.text",
            "must have at most 2048 bytes",
        ),
        (
            json!({"text": "a\u{0}"}),
            "reply.text",
            "has a control character",
        ),
        (
            card("title", &"x".repeat(65)),
            "reply.news.title",
            "at most 64",
        ),
        (
            card("description", &"x".repeat(121)),
            "reply.news.description",
            "at most 120",
        ),
        (card("url", "example.com"), "reply.news.url", "https://"),
        // As it is sent, with nine bytes a letter.
        (
            card("url", &format!("https://example.com/{}", "展".repeat(300))),
            "reply.news.url",
            "at most 1024 bytes",
        ),
        (
            card("url", "javascript:alert(1)"),
            "reply.news.url",
            "https://",
        ),
        (
            card("image_url", "/a.png"),
            "reply.news.image_url",
            "https://",
        ),
        (
            json!({"news": {"url": "https://example.com/"}}),
            "reply.news.title",
            "is missing",
        ),
        (
            json!({"news": {"title": "t"}}),
            "reply.news.url",
            "is missing",
        ),
        (
            json!({"news": {"title": 5, "url": "https://example.com/"}}),
            "reply.news.title",
            "must be a text in quotes",
        ),
        (
            json!({"news": {"title": null, "url": "https://example.com/"}}),
            "reply.news.title",
            "must be a text in quotes",
        ),
        (json!({"news": "t"}), "reply.news", "must be an object"),
        (
            json!({"text": "a", "news": {}}),
            "reply",
            "both text and news",
        ),
        (json!({"text": 5}), "reply.text", "must be a text in quotes"),
        (json!({}), "reply", "must be a text"),
        (json!([]), "reply", "must be a text"),
        (json!(5), "reply", "must be a text"),
    ] {
        let wanted = json!({"scene_str": "poster", "permanent": true, "reply": reply});
        let answer = post(&app, ADMIN, &wanted).await;
        let want = (400, "invalid_parameter".to_owned());
        assert_eq!(answer.problem(), want, "{reply}");
        assert_eq!(answer.field("parameter"), parameter, "{reply}");
        let detail = answer.field("detail");
        assert!(detail.contains(reason), "{reply}: {detail}");
    }
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn an_unknown_field_of_a_reply_is_named() {
    let app = TestApp::with()
        .set("CALLBACK_TOKEN", TOKEN)
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await;
    let sale = json!({"title": "t", "url": "https://example.com/", "foo": 1});
    for (reply, parameter) in [
        (json!({"image": "a"}), "reply.image"),
        (json!({"text": "a", "foo": "b"}), "reply.foo"),
        (json!({"news": sale}), "reply.news.foo"),
    ] {
        let body = json!({"reply": reply});
        let mut wanted = body.clone();
        wanted["scene_str"] = json!("poster");
        let of_a_code = post(&app, ADMIN, &wanted).await;
        let of_a_binding = app.post_as(ADMIN, "/api/bindings", body.to_string()).await;
        for answer in [of_a_code, of_a_binding] {
            assert_eq!(
                answer.problem(),
                (400, "invalid_body".to_owned()),
                "{reply}"
            );
            assert_eq!(answer.field("parameter"), parameter, "{reply}");
            let detail = answer.field("detail");
            assert!(detail.contains("is not a field of a "), "{reply}: {detail}");
        }
    }
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn a_permanent_code_is_there_for_everybody_once_it_is_made() {
    let app = TestApp::spawn().await;
    let path = "/qrcode.json?scene_id=7&permanent=true";
    assert_eq!(
        app.get(path).await.problem(),
        (403, "mint_not_allowed".to_owned())
    );
    let wanted = json!({"scene_id": 7, "permanent": true});
    let first = post(&app, PERMANENT, &wanted).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let code = first.json();
    assert_eq!(code["action_name"], "QR_LIMIT_SCENE");
    assert_eq!(code["png_url"], "/qrcode.png?scene_id=7&permanent=true");
    assert!(!names(&code).contains("expires_at"), "{code}");
    assert!(!names(&code).contains("expire_seconds"), "{code}");
    assert_eq!(post(&app, PERMANENT, &wanted).await.status, StatusCode::OK);
    assert_eq!(app.get(path).await.ticket(), first.ticket());
    assert_eq!(app.creates(), 1);
    assert_eq!(stock(&app).await, (1, 0));
}

#[tokio::test]
async fn a_blank_at_an_end_makes_no_new_permanent_code() {
    let app = TestApp::spawn().await;
    for text in [
        " a",
        "a ",
        "a\u{a0}",
        "\u{3000}a",
        "a\u{200b}",
        "\u{feff}a",
        "a\u{200d}",
        "\u{ad}a",
        "\u{2800}a",
        "a\u{3164}",
        "\u{115f}a",
        "\u{1160}a",
        "a\u{ffa0}",
        "\u{17b4}a",
        "\u{fffc}a",
        "\u{1d159}a",
        "a\u{e0001}",
        " ",
    ] {
        let wanted = json!({"scene_str": text, "permanent": true, "label": "A"});
        let query: String = format!(
            "/qrcode.json?permanent=true&scene_str={}",
            wxqr::form::escaped(text)
        );
        for refused in [
            post(&app, PERMANENT, &wanted).await,
            app.get_as(PERMANENT, &query).await,
            app.get(&query).await,
        ] {
            let want = (400, "invalid_parameter".to_owned());
            assert_eq!(refused.problem(), want, "{text:?}");
            assert_eq!(refused.field("parameter"), "scene_str", "{text:?}");
            let detail = refused.field("detail");
            assert!(
                detail.contains("begins or ends with a space or an invisible"),
                "{detail}"
            );
        }
        let many = post(&app, PERMANENT, &json!([wanted])).await.json();
        assert_eq!(many["items"][0]["status"], 400, "{text:?}");
    }
    assert_eq!((app.creates(), stock(&app).await), (0, (0, 0)));

    let link = json!({"scene_str": "shop&expire_seconds=60", "permanent": true});
    let refused = post(&app, PERMANENT, &link).await;
    assert_eq!(refused.field("parameter"), "scene_str", "{refused:?}");
    assert!(refused.field("detail").contains("expire_seconds"));
    assert_eq!((app.creates(), stock(&app).await), (0, (0, 0)));

    // Blanks inside are text, as emoji are, and so are those of temporary codes.
    for (key, wanted) in [
        (
            PERMANENT,
            json!({"scene_str": "a \u{2764}\u{fe0f}", "permanent": true}),
        ),
        (
            PERMANENT,
            json!({"scene_str": "\u{8fbb}\u{e0100}", "permanent": true}),
        ),
        (
            PERMANENT,
            json!({"scene_str": "shop?lang=en", "permanent": true}),
        ),
        (PERMANENT, json!({"scene_str": "a b", "permanent": true})),
        (MINT, json!({"scene_str": "a "})),
    ] {
        let made = post(&app, key, &wanted).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }
    // A code that exists, here because it was minted elsewhere, is answered to everybody.
    let elsewhere = json!({
        "scene_str": "old ", "permanent": true, "ticket": "gQElsewhere", "url": "http://weixin.qq.com/q/02old",
    });
    let recorded = post(&app, ADMIN, &elsewhere).await;
    assert!(recorded.status.is_success(), "{recorded:?}");
    let named = json!({"scene_str": "old ", "permanent": true, "label": "Old"});
    let known = post(&app, PERMANENT, &named).await;
    assert_eq!(known.status, StatusCode::OK, "{known:?}");
    assert_eq!(known.field("label"), "Old");
    let served = app
        .get("/qrcode.json?permanent=true&scene_str=old%20")
        .await;
    assert_eq!(served.ticket(), "gQElsewhere");
}

#[tokio::test]
async fn each_scope_allows_its_own_requests_only() {
    let app = TestApp::spawn().await;
    let temporary = json!({"scene_id": 1});
    let permanent = json!({"scene_id": 1, "permanent": true});
    let elsewhere = json!({"scene_id": 2, "permanent": true, "ticket": "gQH47joAAA", "url": "http://weixin.qq.com/q/abc"});
    for (body, may) in [
        (&temporary, [MINT, ADMIN].as_slice()),
        (&permanent, &[PERMANENT, ADMIN]),
        (&elsewhere, &[ADMIN]),
    ] {
        for key in [MINT, PERMANENT, STATS, PEOPLE, BIND, ADMIN] {
            let one = post(&app, key, body).await;
            let many = post(&app, key, &json!([body])).await;
            assert_eq!(many.status, StatusCode::MULTI_STATUS, "{key} for {body}");
            let item = &many.json()["items"][0];
            if may.contains(&key) {
                assert!(one.status.is_success(), "{key} for {body}: {one:?}");
                assert_eq!(item["status"], 200, "{key} for {body}");
            } else {
                let want = (403, "scope_missing".to_owned());
                assert_eq!(one.problem(), want, "{key} for {body}");
                assert_eq!(item["status"], 403, "{key} for {body}");
                assert_eq!(item["problem"]["code"], "scope_missing");
            }
        }
    }
    for path in ["/api/codes", "/api/account"] {
        for key in [MINT, PERMANENT, PEOPLE, BIND] {
            let answer = app.get_as(key, path).await;
            assert_eq!(answer.problem(), (403, "scope_missing".to_owned()));
            assert!(answer.field("detail").contains("stats"), "{answer:?}");
        }
        for key in [STATS, ADMIN] {
            assert_eq!(app.get_as(key, path).await.status, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn without_a_known_key_nothing_is_done() {
    let app = TestApp::spawn().await;
    for (method, path) in [
        (Method::POST, "/api/codes"),
        (Method::GET, "/api/codes"),
        (Method::GET, "/api/account"),
    ] {
        let request = || app.request(method.clone(), path).body(r#"{"scene_id":1}"#);
        let none = "this needs a key";
        let odd = "must be \"Bearer KEY\"";
        let unknown = "is not valid";
        for (request, why) in [
            (request(), none),
            (request().query(&[("key", MINT)]), none),
            (request().basic_auth("mint", Some(MINT)), odd),
            (request().bearer_auth("no-such-key-0123456"), unknown),
            (request().bearer_auth(""), odd),
        ] {
            let answer = Answer::to(request).await;
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
            assert_eq!(answer.field("title"), "A valid key is needed");
            assert!(answer.field("detail").contains(why), "{answer:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(app.creates(), 0);
}

/// Bodies, the code of their problem, the parameter at fault, and part of what the detail says is
/// accepted.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str, &str)] = &[
    (r#""x""#, "invalid_body", "", "JSON object"),
    ("7", "invalid_body", "", "JSON object"),
    (r#"{"scene_id": 1, "labels": "x"}"#, "invalid_body", "labels", "expire_seconds, label"),
    (r#"{"scene_id": 1, "scene_id": 2}"#, "invalid_body", "scene_id", "once only"),
    (r#"{"scene_id": 1, "scene\u005fid": 1}"#, "invalid_body", "scene_id", "once only"),
    (r#"{"label": "a", "scene_id": 1, "label": null}"#, "invalid_body", "label", "once only"),
    ("{}", "invalid_parameter", "scene_id", "1 to 64 characters"),
    (r#"{"scene_id": "1"}"#, "invalid_parameter", "scene_id", "without quotes"),
    (r#"{"scene_id": 1.5}"#, "invalid_parameter", "scene_id", "4294967295"),
    (r#"{"scene_id": -1}"#, "invalid_parameter", "scene_id", "4294967295"),
    (r#"{"scene_id": 0}"#, "invalid_parameter", "scene_id", "from 1 to 4294967295"),
    (r#"{"scene_id": 4294967296}"#, "invalid_parameter", "scene_id", "from 1 to 4294967295"),
    (r#"{"scene_id": 1e30}"#, "invalid_parameter", "scene_id", "from 1 to 4294967295"),
    (r#"{"scene_id": 100001, "permanent": true}"#, "invalid_parameter", "scene_id", "from 1 to 100000"),
    (r#"{"scene_id": 1, "scene_str": "a"}"#, "invalid_parameter", "scene_str", "together"),
    (r#"{"scene_str": ""}"#, "invalid_parameter", "scene_str", "1 to 64"),
    (r#"{"scene_str": "wxqr.doctor"}"#, "invalid_parameter", "scene_str", "must not begin"),
    (r#"{"scene_str": "a\u0000"}"#, "invalid_parameter", "scene_str", "control"),
    (r#"{"scene_id": 1, "permanent": "true"}"#, "invalid_parameter", "permanent", "true or false"),
    (r#"{"scene_id": 1, "expire_seconds": 0}"#, "invalid_parameter", "expire_seconds", "1 to 2592000"),
    (r#"{"scene_id": 1, "expire_seconds": 2592001}"#, "invalid_parameter", "expire_seconds", "1 to 2592000"),
    (r#"{"scene_id": 1, "expire_seconds": 9, "permanent": true}"#, "invalid_parameter", "expire_seconds", "temporary"),
    (r#"{"scene_id": 1, "label": 7}"#, "invalid_parameter", "label", "or null"),
    (r#"{"scene_id": 1, "archived": "yes"}"#, "invalid_parameter", "archived", "true or false"),
    (r#"{"scene_id": 1, "renew": 0}"#, "invalid_parameter", "renew", "true or false"),
    (r#"{"scene_id": 1, "group": "a\nb"}"#, "invalid_parameter", "group", "control"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t"}"#, "invalid_parameter", "url", "with ticket"),
    (r#"{"scene_id": 1, "permanent": true, "url": "u"}"#, "invalid_parameter", "ticket", "with url"),
    (r#"{"scene_id": 1, "ticket": "t", "url": "u"}"#, "invalid_parameter", "permanent", "must be true"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "a b", "url": "u"}"#, "invalid_parameter", "ticket", "printable"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "gQHabc%3D%3D", "url": "http://weixin.qq.com/q/1"}"#, "invalid_parameter", "ticket", "decode it first"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "gQH\"><", "url": "http://weixin.qq.com/q/1"}"#, "invalid_parameter", "ticket", "as WeChat gave it"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "u"}"#, "invalid_parameter", "url", "https:// and a host"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "javascript:alert(1)"}"#, "invalid_parameter", "url", "https:// and a host"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "weixin://dl/business"}"#, "invalid_parameter", "url", "https:// and a host"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "http:weixin.qq.com"}"#, "invalid_parameter", "url", "https:// and a host"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "https://"}"#, "invalid_parameter", "url", "https:// and a host"),
    (r#"{"scene_id": 1, "permanent": true, "ticket": "t", "url": "https://weixin.qq.com@example.com/"}"#, "invalid_parameter", "url", "without a user"),
];

#[tokio::test]
async fn an_invalid_body_is_refused_with_the_reason() {
    let app = TestApp::spawn().await;
    for &(body, code, parameter, accepted) in WRONG {
        let answer = app.post_as(ADMIN, "/api/codes", body).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{body}");
        let problem = answer.json();
        let named = problem["parameter"].as_str().unwrap_or_default();
        assert_eq!(named, parameter, "{body}");
        let detail = answer.field("detail");
        assert!(detail.contains(accepted), "{body}: {detail}");
        let many = app
            .post_as(ADMIN, "/api/codes", format!("[{body}]"))
            .await
            .json();
        assert_eq!(many["items"][0]["problem"]["code"], code, "{body}");
    }
    for (length, status) in [(100, StatusCode::CREATED), (101, StatusCode::BAD_REQUEST)] {
        let wanted = json!({"scene_id": 1, "label": "签".repeat(length)});
        assert_eq!(post(&app, MINT, &wanted).await.status, status, "{length}");
    }
    for text in ["", "{", "scene_id=1", "{}\u{feff}"] {
        let answer = app.post_as(ADMIN, "/api/codes", text).await;
        let want = (400, "invalid_body".to_owned());
        assert_eq!(answer.problem(), want, "{text:?}");
    }
    assert_eq!(app.creates(), 1, "one was right");
    assert_eq!(stock(&app).await, (0, 0));
}

#[tokio::test]
async fn a_byte_order_mark_in_front_of_a_body_is_passed_over() {
    let app = TestApp::with()
        .set("CALLBACK_TOKEN", "callbacktokenOfTheTests")
        .set(
            "ENCODING_AES_KEY",
            "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU",
        )
        .spawn()
        .await;
    for (body, status) in [
        ("\u{feff}{\"scene_id\": 1}", StatusCode::CREATED),
        (
            "\u{feff}\r\n[{\"scene_id\": 2}]\r\n",
            StatusCode::MULTI_STATUS,
        ),
        // One, and in front: anywhere else it is text.
        ("\u{feff}\u{feff}{\"scene_id\": 3}", StatusCode::BAD_REQUEST),
        (" \u{feff}{\"scene_id\": 3}", StatusCode::BAD_REQUEST),
        ("\u{feff}", StatusCode::BAD_REQUEST),
    ] {
        let answer = app.post_as(MINT, "/api/codes", body).await;
        assert_eq!(answer.status, status, "{body:?}: {answer:?}");
    }
    let bind = async |body: Vec<u8>| {
        let request = app.request(Method::POST, "/api/bindings");
        Answer::to(request.bearer_auth(BIND).body(body)).await
    };
    for body in [
        "\u{feff}{\"expire_seconds\": 60}",
        "\u{feff}",
        "\u{feff} \r\n",
    ] {
        let answer = bind(body.into()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{body:?}: {answer:?}");
    }
    // UTF-16, as some shells write it, is named in the error.
    let wide = |mark: u16, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let units = [mark].into_iter().chain("{}".encode_utf16());
        units.flat_map(order).collect()
    };
    for body in [
        wide(0xfeff, u16::to_le_bytes),
        wide(0xfeff, u16::to_be_bytes),
    ] {
        let answer = bind(body).await;
        assert_eq!(answer.problem(), (400, "invalid_body".to_owned()));
        assert!(answer.field("detail").contains("UTF-8"), "{answer:?}");
    }
    assert_eq!(app.creates(), 5);
}

#[tokio::test]
async fn a_body_has_a_bound() {
    let app = TestApp::spawn().await;
    let answer = app
        .post_as(MINT, "/api/codes", " ".repeat(512 * 1024 + 1))
        .await;
    assert_eq!(answer.problem(), (413, "too_large".to_owned()));
    assert!(answer.field("detail").contains("524288"), "{answer:?}");
}

#[tokio::test]
async fn below_api_every_error_is_json_and_no_other_origin_is_let_in() {
    let app = TestApp::with()
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .spawn()
        .await;
    for (method, path, status) in [
        (Method::GET, "/api", 404),
        (Method::GET, "/api/", 404),
        (Method::GET, "/api/nothing?format=html&fragment=1", 404),
        (Method::GET, "/api/codes", 401),
        (Method::HEAD, "/api/codes", 401),
        (Method::DELETE, "/api/codes", 405),
        (Method::OPTIONS, "/api/codes", 405),
        (Method::POST, "/api/account", 405),
        (Method::GET, "/wx/api/codes", 401),
        (Method::GET, "/wx/api/nothing", 404),
        (Method::DELETE, "/wx/api/codes", 405),
    ] {
        let request = app.request(method.clone(), path);
        let request = request
            .header("accept", "text/html")
            .header("origin", "https://shop.example.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization");
        let answer = Answer::to(request).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{method} {path}"
        );
        if method != Method::HEAD {
            answer.problem();
        }
        if status == 405 {
            assert!(!answer.header("allow").is_empty(), "{method} {path}");
        }
        let opened = answer.headers.keys();
        let opened: Vec<_> = opened
            .filter(|name| name.as_str().starts_with("access-control"))
            .collect();
        assert_eq!(opened, Vec::<&str>::new(), "{method} {path}");
    }
    let head = app.request(Method::HEAD, "/api/codes").bearer_auth(STATS);
    assert_eq!(Answer::to(head).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_are_answered_in_their_order_and_may_be_sent_again() {
    let app = TestApp::spawn().await;
    let wanted = json!([
        {"scene_id": 1, "label": "one"},
        {"scene_id": 0},
        {"scene_str": "two", "group": "shops"},
        "three",
        {"scene_id": 1},
        {"scene_id": 4, "permanent": true},
        {"scene_id": 5, "expire_seconds": 60},
    ]);
    let answer = post(&app, MINT, &wanted).await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS, "{answer:?}");
    let many = answer.json();
    assert_eq!(names(&many), BTreeSet::from(["items"]));
    let items = many["items"].as_array().unwrap();
    let statuses: Vec<_> = items
        .iter()
        .map(|item| item["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 400, 201, 400, 200, 403, 201]);
    assert_eq!(items[0]["code"]["label"], "one");
    assert_eq!(items[2]["code"]["group"], "shops");
    assert_eq!(items[0]["code"]["ticket"], items[4]["code"]["ticket"]);
    assert_eq!(items[1]["problem"]["parameter"], "scene_id");
    assert_eq!(
        items[1]["problem"]["request_id"],
        answer.header("x-request-id")
    );
    for item in items {
        let other = if item["status"].as_u64().unwrap() < 300 {
            assert_seconds_count_from_the_date(&item["code"], &answer);
            "code"
        } else {
            "problem"
        };
        assert_eq!(names(item), BTreeSet::from(["status", other]));
    }
    assert_eq!(app.creates(), 3);

    let again = post(&app, MINT, &wanted).await.json();
    let statuses = again["items"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses
        .map(|item| item["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 400, 200, 400, 200, 403, 200]);
    assert_eq!(again["items"][0]["code"]["label"], "one");
    assert_eq!(app.creates(), 3, "nothing is made twice");
}

#[tokio::test]
async fn a_hundred_at_once_cost_a_hundred_and_more_are_refused() {
    let app = TestApp::spawn().await;
    let wanted = |count: u32| -> Value {
        (1..=count)
            .map(|id| json!({"scene_id": id, "permanent": true}))
            .collect()
    };
    let answer = post(&app, PERMANENT, &wanted(101)).await;
    assert_eq!(answer.problem(), (400, "invalid_body".to_owned()));
    assert!(answer.field("detail").contains("100 at most"), "{answer:?}");
    assert_eq!(app.creates(), 0);
    for status in [201, 200] {
        let many = post(&app, PERMANENT, &wanted(100)).await.json();
        for (n, item) in (1..).zip(many["items"].as_array().unwrap()) {
            assert_eq!(item["status"], status, "{item}");
            assert_eq!(item["code"]["scene_id"], n);
        }
        assert_eq!(app.creates(), 100);
    }
    assert_eq!(stock(&app).await, (100, 0));
    let none = post(&app, PERMANENT, &json!([])).await;
    assert_eq!(
        (none.status.as_u16(), none.json()),
        (207, json!({"items": []}))
    );
}

/// Takes the 20 s that such a request may take.
#[tokio::test]
async fn what_a_slow_wechat_leaves_undone_says_so_in_time() {
    let app = TestApp::with().set("UPSTREAM_TIMEOUT", "30s").spawn().await;
    let wanted = |ids: std::ops::RangeInclusive<u32>| -> Value {
        ids.map(|id| json!({"scene_id": id})).collect()
    };
    post(&app, MINT, &wanted(1..=5)).await;
    app.fail(Target::Create, FaultKind::Hang);
    app.sandbox.forget_calls();

    let answer = post(&app, MINT, &wanted(1..=100)).await;
    assert!(answer.took >= Duration::from_secs(19), "{:?}", answer.took);
    let many = answer.json();
    for (n, item) in (1..).zip(many["items"].as_array().unwrap()) {
        if n <= 5 {
            assert_eq!(item["status"], 200, "item {n}: {item}");
        } else {
            assert_eq!(item["status"], 504, "item {n}: {item}");
            assert_eq!(item["problem"]["code"], "upstream_timeout");
        }
    }

    // What was started by mistake would call before these do.
    app.heal();
    post(&app, MINT, &wanted(101..=110)).await;
    let scenes: BTreeSet<_> = app
        .calls(Api::Create)
        .into_iter()
        .map(|call| call.body)
        .collect();
    assert!(
        scenes.len() <= 16 + 10,
        "no mint was started that nobody waited for: {}",
        scenes.len()
    );
}

#[tokio::test]
async fn a_code_minted_elsewhere_is_counted_served_and_never_minted() {
    let app = TestApp::spawn().await;
    let ticket = |ticket: &str| json!({"scene_str": "old shop", "permanent": true, "label": "Old shop", "ticket": ticket, "url": "http://weixin.qq.com/q/02abc"});
    let first = post(&app, ADMIN, &ticket("gQH47joAAAAA")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!(first.json()["label"], "Old shop");
    assert_eq!(stock(&app).await, (1, 0));

    let path = "/qrcode.json?scene_str=old+shop&permanent=true";
    let served = app.get(path).await;
    assert_eq!(served.ticket(), "gQH47joAAAAA");
    assert_eq!(served.field("url"), "http://weixin.qq.com/q/02abc");
    let wanted = json!({"scene_str": "old shop", "permanent": true});
    let known = post(&app, PERMANENT, &wanted).await;
    assert_eq!(
        (known.status, known.ticket()),
        (StatusCode::OK, "gQH47joAAAAA".to_owned())
    );

    let again = post(&app, ADMIN, &ticket("gQH47joAAAAA")).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let other = post(&app, ADMIN, &ticket("gQOther")).await;
    assert_eq!(other.problem(), (409, "already_recorded".to_owned()));
    assert_eq!(stock(&app).await, (1, 0));
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn a_refusal_gives_the_stock_back() {
    let app = TestApp::spawn().await;
    for (scene, errcode, status, code) in [
        (1, 45029, 409, "permanent_stock_exhausted"),
        (2, 48001, 502, "upstream_refused"),
        (3, 40053, 400, "scene_refused"),
    ] {
        app.fail(Target::Create, FaultKind::Errcode(errcode));
        let wanted = json!({"scene_id": scene, "permanent": true});
        let answer = post(&app, PERMANENT, &wanted).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{errcode}");
        assert_eq!(answer.json()["errcode"], errcode);
        assert_eq!(stock(&app).await, (0, 0), "{errcode}");
    }
    app.heal();
    let wanted = json!({"scene_id": 1, "permanent": true});
    // A failure is remembered for a second.
    eventually_async("the scene can be minted after all", || async {
        post(&app, PERMANENT, &wanted).await.status == StatusCode::CREATED
    })
    .await;
    assert_eq!(stock(&app).await, (1, 0));
}

#[tokio::test]
async fn a_full_ledger_refuses_before_the_call() {
    let app = TestApp::with().set("PERMANENT_LIMIT", "2").spawn().await;
    let wanted = json!([
        {"scene_id": 1, "permanent": true},
        {"scene_id": 2, "permanent": true},
    ]);
    post(&app, PERMANENT, &wanted).await;
    let third = json!({"scene_id": 3, "permanent": true});
    let answer = post(&app, PERMANENT, &third).await;
    assert_eq!(
        answer.problem(),
        (409, "permanent_stock_exhausted".to_owned())
    );
    assert_eq!(app.creates(), 2);
    let account = app.get_as(STATS, "/api/account").await.json();
    assert_eq!(
        account["permanent"],
        json!({"used": 2, "unknown": 0, "left": 0, "limit": 2})
    );
    let known = json!({"scene_id": 2, "permanent": true});
    assert_eq!(post(&app, PERMANENT, &known).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_outcome_counts_and_is_not_repeated_at_once() {
    let app = TestApp::spawn().await;
    let gateway = FaultKind::Status(StatusCode::BAD_GATEWAY);
    for (scene, fault, code) in [
        (1, FaultKind::Half, "upstream_invalid"),
        (2, FaultKind::Reset, "upstream_unreachable"),
        (3, gateway, "upstream_invalid"),
    ] {
        app.fail(Target::Create, fault);
        let wanted = json!({"scene_id": scene, "permanent": true});
        let answer = post(&app, PERMANENT, &wanted).await;
        assert_eq!(answer.problem(), (502, code.to_owned()), "{fault:?}");
        assert_eq!(app.creates(), scene, "{fault:?}: no second call");
        assert_eq!(stock(&app).await, (scene as u64, scene as u64), "{fault:?}");

        app.heal();
        eventually_async("the failure itself is forgotten", || async {
            post(&app, PERMANENT, &wanted).await.status == StatusCode::GATEWAY_TIMEOUT
        })
        .await;
        let answer = post(&app, PERMANENT, &wanted).await;
        assert_eq!(answer.problem(), (504, "upstream_timeout".to_owned()));
        // A wait in vain ends with Retry-After: 5.
        let wait = answer.retry_after().unwrap();
        assert!((10..=60).contains(&wait), "{fault:?}: {wait} s");
        assert_eq!(app.creates(), scene, "{fault:?}: no second call");
    }
    let list = app.get_as(STATS, "/api/codes?permanent=true").await.json();
    let unknown = &list["items"][0];
    assert_eq!(unknown["outcome"], "unknown", "{list}");
    assert!(!names(unknown).contains("ticket"), "{list}");

    let found = json!({"scene_id": 1, "permanent": true, "ticket": "gQFound", "url": "http://weixin.qq.com/q/02abc"});
    assert_eq!(post(&app, ADMIN, &found).await.status, StatusCode::CREATED);
    assert_eq!(
        stock(&app).await,
        (3, 2),
        "recording it settles the question"
    );
}

/// The field at fault, and the code that has it.
#[tokio::test]
async fn a_record_that_contradicts_another_is_refused_and_names_it() {
    let app = TestApp::spawn().await;
    let record = |scene: &Value, ticket: &str, url: &str| {
        let mut record = scene.clone();
        record["permanent"] = true.into();
        record["ticket"] = ticket.into();
        record["url"] = format!("HTTPS://weixin.qq.com/q/{url}").into();
        record
    };
    let seven = json!({"scene_id": 7});
    let text = json!({"scene_str": "7"});
    let first = record(&seven, "gQFirst", "first");
    assert_eq!(post(&app, ADMIN, &first).await.status, StatusCode::CREATED);
    let temporary = app.get("/qrcode.json?scene_str=poster").await.ticket();
    for (body, parameter, says) in [
        (
            record(&text, "gQFirst", "b"),
            "ticket",
            "permanent code, of scene_id 7",
        ),
        (
            record(&text, "gQOther", "first"),
            "url",
            "permanent code, of scene_id 7",
        ),
        (
            record(&seven, "gQOther", "b"),
            "ticket",
            "its ticket is gQFirst",
        ),
        (record(&seven, "gQFirst", "b"), "ticket", "/q/first"),
        (
            record(&seven, &temporary, "c"),
            "ticket",
            "its ticket is gQFirst",
        ),
        (
            record(&text, &temporary, "c"),
            "ticket",
            "temporary code, of scene_str poster",
        ),
    ] {
        let answer = post(&app, ADMIN, &body).await;
        assert_eq!(
            answer.problem(),
            (409, "already_recorded".to_owned()),
            "{body}"
        );
        assert_eq!(answer.field("parameter"), parameter, "{body}");
        assert!(answer.field("detail").contains(says), "{answer:?}");
        let many = post(&app, ADMIN, &json!([first, body])).await.json();
        let statuses = [0, 1].map(|n| many["items"][n]["status"].as_u64());
        assert_eq!(statuses, [Some(200), Some(409)], "{many}");
    }
    assert_eq!(stock(&app).await, (1, 0));
    let second = record(&text, "gQSecond", "second");
    assert_eq!(post(&app, ADMIN, &second).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_import_is_compared_with_every_spelling_of_a_url_and_with_temporary_codes() {
    let app = TestApp::spawn().await;
    let record = |scene: &str, ticket: &str, url: &str| json!({"scene_str": scene, "permanent": true, "ticket": ticket, "url": url});
    let first = record("first", "gQFirst", "http://weixin.qq.com/q/First#a");
    assert_eq!(post(&app, ADMIN, &first).await.status, StatusCode::CREATED);
    let temporary = app.get("/qrcode.json?scene_str=poster").await.field("url");
    let https = temporary.replace("http://", "https://");
    for (url, owner) in [
        ("http://weixin.qq.com/q/First", "of scene_str first"),
        ("https://WEIXIN.qq.com/q/First/", "of scene_str first"),
        ("HTTP://weixin.qq.com:80/q/First#b", "of scene_str first"),
        (&temporary, "temporary code, of scene_str poster"),
        (&https, "temporary code, of scene_str poster"),
    ] {
        let answer = post(&app, ADMIN, &record("other", "gQOther", url)).await;
        let problem = (409, "already_recorded".to_owned());
        assert_eq!(answer.problem(), problem, "{url}");
        assert_eq!(answer.field("parameter"), "url", "{url}");
        assert!(answer.field("detail").contains(owner), "{answer:?}");
    }
    let again = record("first", "gQFirst", "https://weixin.qq.com/q/First/");
    assert_eq!(post(&app, ADMIN, &again).await.status, StatusCode::OK);
    let lower = record("other", "gQOther", "http://weixin.qq.com/q/first");
    assert_eq!(post(&app, ADMIN, &lower).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let app = TestApp::spawn().await;
    let wanted = json!([
        {"scene_id": 7, "label": "a", "group": "shops"},
        {"scene_id": 8, "label": "b", "group": "shops"},
        {"scene_str": "7", "label": "a"},
        {"scene_id": 7, "permanent": true, "group": "shops"},
        {"scene_str": "展会:A", "permanent": true, "label": "展会"},
    ]);
    post(&app, ADMIN, &wanted).await;
    let all = [
        "QR_LIMIT_SCENE:7",
        "QR_LIMIT_STR_SCENE:展会:A",
        "QR_SCENE:7",
        "QR_SCENE:8",
        "QR_STR_SCENE:7",
    ];
    for (query, want) in [
        ("", vec![0, 1, 2, 3, 4]),
        ("?label=a", vec![2, 4]),
        ("?group=shops", vec![0, 2, 3]),
        ("?label=a&group=shops", vec![2]),
        ("?label=nothing", vec![]),
        ("?permanent=true", vec![0, 1]),
        ("?permanent=false", vec![2, 3, 4]),
        ("?scene=id:7", vec![0, 2]),
        ("?scene=str:7", vec![4]),
        ("?scene=str:%E5%B1%95%E4%BC%9A:A", vec![1]),
        ("?scene=id:7&permanent=false", vec![2]),
        ("?limit=1000", vec![0, 1, 2, 3, 4]),
    ] {
        let answer = app.get_as(STATS, &format!("/api/codes{query}")).await;
        let page = answer.json();
        let want: Vec<_> = want.into_iter().map(|n| all[n]).collect();
        assert_eq!(listed(&page), want, "{query}");
        assert_eq!(page["total"], want.len(), "{query}");
        assert_eq!(
            names(&page),
            BTreeSet::from(["items", "total"]),
            "no cursor at the end"
        );
        for code in page["items"].as_array().unwrap() {
            if code["permanent"] == false {
                assert_seconds_count_from_the_date(code, &answer);
            }
        }
    }
    for limit in 1..=5 {
        let mut path = format!("/api/codes?limit={limit}");
        let mut walked = Vec::new();
        loop {
            let page = app.get_as(STATS, &path).await.json();
            let items = listed(&page);
            assert!((1..=limit).contains(&items.len()), "{path}");
            assert_eq!(page["total"], 5, "{path}");
            walked.extend(items);
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/api/codes?limit={limit}&cursor={cursor}");
        }
        assert_eq!(walked, all, "in pages of {limit}");
    }
    assert_eq!(app.creates(), 5, "looking makes nothing");
}

#[tokio::test]
async fn a_list_is_searched_and_put_in_order() {
    let app = TestApp::spawn().await;
    let wanted = json!([
        {"scene_id": 7, "label": "Poster 10", "group": "上海"},
        {"scene_id": 8, "label": "poster 9"},
        {"scene_id": 9},
        {"scene_id": 10, "label": "Old poster", "archived": true},
    ]);
    post(&app, MINT, &wanted).await;
    for (query, want) in [
        ("sort=label", vec![8, 7, 9]),
        ("sort=-label", vec![7, 8, 9]),
        ("q=POSTER", vec![7, 8]),
        ("q=%E4%B8%8A", vec![7]),
        ("q=9", vec![8, 9]),
        ("q=", vec![7, 8, 9]),
        ("q=o&archived=true", vec![10]),
        ("archived=all&sort=label", vec![10, 8, 7, 9]),
    ] {
        let path = format!("/api/codes?{query}");
        let page = app.get_as(STATS, &path).await.json();
        let items = page["items"].as_array().unwrap().iter();
        let scenes: Vec<_> = items
            .map(|item| item["scene_id"].as_u64().unwrap())
            .collect();
        assert_eq!(scenes, want, "{query}");
        assert_eq!(page["total"], want.len(), "{query}");
    }
}

#[tokio::test]
async fn a_cursor_is_refused_in_another_order() {
    let app = TestApp::spawn().await;
    post(&app, MINT, &json!([{"scene_id": 7}, {"scene_id": 8}])).await;
    let sorts = ["scene", "-scene", "label", "-label", "created", "-created"];
    for sort in sorts {
        let path = format!("/api/codes?limit=1&sort={sort}");
        let page = app.get_as(STATS, &path).await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        for other in sorts {
            let path = format!("/api/codes?cursor={cursor}&sort={other}");
            let answer = app.get_as(STATS, &path).await;
            if other == sort {
                assert_eq!(listed(&answer.json()).len(), 1, "{path}");
            } else {
                let problem = answer.problem();
                assert_eq!(problem, (400, "invalid_parameter".to_owned()), "{path}");
                assert_eq!(answer.field("parameter"), "cursor");
            }
        }
    }
}

#[tokio::test]
async fn an_archived_code_is_served_and_out_of_lists() {
    let app = TestApp::spawn().await;
    let wanted = json!({"scene_str": "old", "permanent": true, "group": "shops"});
    let made = post(&app, PERMANENT, &wanted).await.json();
    assert_eq!(
        (&made["archived"], &made["created_by"]),
        (&json!(false), &json!("permanent"))
    );
    let archive = json!({"scene_str": "old", "permanent": true, "archived": true});
    let archived = post(&app, PERMANENT, &archive).await;
    assert_eq!(archived.status, StatusCode::OK);
    assert_eq!(archived.json()["archived"], true);
    let page = app.get_as(STATS, "/api/codes").await.json();
    assert_eq!(page, json!({"items": [], "total": 0}));
    let groups = app.get_as(STATS, "/api/groups").await.json();
    assert_eq!(groups, json!({"items": []}));
    let groups = app.get_as(STATS, "/api/groups?archived=all").await.json();
    assert_eq!(groups, json!({"items": [{"group": "shops", "codes": 1}]}));
    let served = app.get("/qrcode.json?permanent=true&scene_str=old").await;
    assert_eq!(served.ticket(), made["ticket"].as_str().unwrap());
    let back = json!({"scene_str": "old", "permanent": true, "archived": false});
    post(&app, PERMANENT, &back).await;
    let page = app.get_as(STATS, "/api/codes").await.json();
    assert_eq!(listed(&page), ["QR_LIMIT_STR_SCENE:old"]);
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_new_permanent_code_has_no_name_that_ends_with_a_space() {
    let app = TestApp::spawn().await;
    for (field, name) in [
        ("label", " Poster"),
        ("label", "Poster\u{3000}"),
        ("group", "Shanghai\u{200b}"),
    ] {
        let mut wanted = json!({"scene_str": "poster", "permanent": true});
        wanted[field] = json!(name);
        let refused = post(&app, PERMANENT, &wanted).await;
        assert_eq!(refused.problem(), (400, "invalid_parameter".to_owned()));
        assert_eq!(refused.field("parameter"), field);
        assert!(refused.field("detail").contains("ends with a space"));
    }
    assert_eq!(app.creates(), 0);
    // Of a code that exists the name is kept as it is given, and so is a temporary code's.
    for (key, mut code) in [
        (PERMANENT, json!({"scene_str": "poster", "permanent": true})),
        (MINT, json!({"scene_str": "screen"})),
    ] {
        post(&app, key, &code).await;
        code["label"] = json!("Poster ");
        let named = post(&app, key, &code).await;
        assert_eq!(named.status, StatusCode::OK, "{named:?}");
        assert_eq!(named.field("label"), "Poster ");
    }
}

#[tokio::test]
async fn a_key_is_shown_with_all_that_it_may_do() {
    let app = TestApp::spawn().await;
    for (key, name, scopes) in [
        (MINT, "mint", json!(["mint"])),
        (STATS, "stats", json!(["stats"])),
        (
            ADMIN,
            "admin",
            json!(["mint", "permanent", "stats", "people", "bind", "admin"]),
        ),
    ] {
        let me = app.get_as(key, "/api/me").await.json();
        assert_eq!(me, json!({"name": name, "scopes": scopes}));
    }
    assert_eq!(app.get("/api/me").await.problem().0, 401);
}

#[tokio::test]
async fn a_mangled_parameter_of_a_list_is_refused_with_the_reason() {
    let app = TestApp::spawn().await;
    for (path, parameter) in [
        ("/api/codes?permanent=true&amp;group=A", "group"),
        ("/api/codes?label=A%26group=B", "group"),
        ("/api/codes?label=A%EF%BC%86limit=5", "limit"),
        ("/api/scans?cursor=0&amp;limit=5", "limit"),
        ("/api/stats?from=2026-11-01&amp;to=2026-11-02", "to"),
        ("/api/stats.csv?%E2%80%8Bgroup=A", "group"),
        ("/api/stats?group=A;scene=id:1", "scene"),
    ] {
        let answer = app.get_as(STATS, path).await;
        let want = (400, "invalid_parameter".to_owned());
        assert_eq!(answer.problem(), want, "{path}");
        assert_eq!(answer.field("parameter"), parameter, "{path}");
        assert!(answer.field("detail").contains(" sent "), "{answer:?}");
    }
    for path in [
        "/api/codes?label=A%26B",
        "/api/codes?label=R%26D%3Fgroup%3D1",
        "/api/codes?scene=str%3Ax%26label%3Dy",
        "/api/scans?scene=str%3Ax%3Fsince%3D3",
        "/api/stats?scene=str%3Apage%3Ffrom%3Dwechat&from=2026-11-01&to=2026-11-29",
        "/api/stats?group=a;b",
        "/stats?q=a%26to%3Db&channel=permanent%3Astr%3Ashop%3Flang%3Den",
    ] {
        assert_eq!(
            app.get_as(STATS, path).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_invalid_query_of_a_list_is_refused_with_the_reason() {
    let app = TestApp::spawn().await;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=UVJfU0NFTkU6MA", "cursor"),
        ("permanent=1", "permanent"),
        ("scene=7", "scene"),
        ("scene=id:x", "scene"),
        ("scene=id:0", "scene"),
        ("scene=str:", "scene"),
        ("scene=num:7", "scene"),
        ("label=%FF", "label"),
        ("labels=a", "labels"),
        ("sort=name", "sort"),
        ("sort=", "sort"),
        ("archived=1", "archived"),
    ] {
        let answer = app.get_as(STATS, &format!("/api/codes?{query}")).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_parameter".to_owned()),
            "{query}"
        );
        assert_eq!(answer.field("parameter"), parameter, "{query}");
    }
}

#[tokio::test]
async fn an_expired_code_is_not_listed() {
    let app = TestApp::spawn().await;
    let wanted = json!([{"scene_id": 1, "expire_seconds": 1}, {"scene_id": 2}]);
    post(&app, MINT, &wanted).await;
    eventually_async("the list has the unexpired one only", || async {
        let page = app.get_as(STATS, "/api/codes").await.json();
        listed(&page) == ["QR_SCENE:2"]
    })
    .await;
}

#[tokio::test]
async fn the_account_shows_faults_and_supplies() {
    let app = TestApp::with()
        .set("ANONYMOUS_BUDGET", "5")
        .failing(Target::Token, FaultKind::Errcode(40164))
        .spawn()
        .await;
    assert_eq!(app.scene(1).await.problem().0, 502);
    let answer = app.get_as(STATS, "/api/account").await;
    let account = answer.json();
    assert_eq!(
        names(&account),
        BTreeSet::from(["token", "mints_today", "budget", "permanent", "fault"])
    );
    assert_eq!(account["token"], json!({"state": "none"}));
    assert_eq!(account["mints_today"], 0);
    assert_eq!(
        account["budget"],
        json!({"limit": 5, "left": 5}),
        "no request left"
    );
    let fault = &account["fault"];
    assert_eq!(fault["errcode"], 40164, "{fault}");
    assert_eq!(fault["ip"], "203.0.113.7", "{fault}");
    assert_eq!(fault["meaning"], "this address is not allowed");
    assert!(fault["action"].as_str().unwrap().contains("allow-list"));
    assert!(fault["at"].as_str().unwrap().parse::<Timestamp>().is_ok());

    app.heal();
    eventually_async("a visitor gets a code", || async {
        app.scene(1).await.status == StatusCode::OK
    })
    .await;
    post(&app, MINT, &json!({"scene_id": 2})).await;
    let well = app.get_as(STATS, "/api/account").await;
    let account = well.json();
    assert!(!names(&account).contains("fault"), "{account}");
    assert_eq!(account["token"]["state"], "held");
    let end: Timestamp = account["token"]["expires_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(end > "2020-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(account["mints_today"], 2);
    assert_eq!(
        account["budget"],
        json!({"limit": 5, "left": 4}),
        "a key does not pay"
    );
    for answer in [answer, well] {
        for secret in [APP_SECRET, "access_token", STATS, "rid"] {
            assert!(
                !answer.text().contains(secret),
                "{secret}: {}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn the_document_describes_all_of_it() {
    let app = TestApp::spawn().await;
    let document = app.get("/openapi.json").await.json();
    for (path, method) in [
        ("/api/codes", "post"),
        ("/api/codes", "get"),
        ("/api/account", "get"),
    ] {
        let operation = &document["paths"][path][method];
        assert_eq!(
            operation["security"],
            json!([{"key": []}]),
            "{method} {path}"
        );
        let answers = names(&operation["responses"]);
        assert!(answers.contains("4XX"), "{method} {path}: {answers:?}");
    }
    let make = &document["paths"]["/api/codes"]["post"]["responses"];
    assert_eq!(
        names(make),
        BTreeSet::from(["200", "201", "207", "409", "4XX", "5XX"])
    );
    let parameters = document["paths"]["/api/codes"]["get"]["parameters"].as_array();
    let parameters: BTreeSet<_> = parameters
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        parameters,
        BTreeSet::from([
            "q",
            "label",
            "group",
            "permanent",
            "scene",
            "archived",
            "sort",
            "cursor",
            "limit"
        ])
    );
}
