use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, Method, Uri, header};
use wechat::ticket::Life;

use super::*;
use crate::clock::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

fn request(path: &str, headers: &[(HeaderName, &str)]) -> Request {
    let uri = Uri::try_from(path).unwrap();
    let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    for (name, value) in headers {
        let value = value.parse().unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

fn key(path: &str, headers: &[(HeaderName, &str)]) -> Option<Key> {
    Key::of(&request(path, headers))
}

fn offered(body: impl Into<Body>, valid: Range<Timestamp>, code: &Arc<IssuedCode>) -> Response {
    let mut response = Response::new(body.into());
    let code = Arc::downgrade(code);
    response.extensions_mut().insert(Cacheable { valid, code });
    response
}

fn code() -> Arc<IssuedCode> {
    Arc::new(IssuedCode {
        ticket: "gQH47joAAA".parse().unwrap(),
        url: "http://weixin.qq.com/q/02".parse().unwrap(),
        life: Life::Permanent,
    })
}

fn cache() -> (Arc<ManualClock>, Microcache) {
    let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
    let cache = Microcache::new(Arc::<ManualClock>::clone(&clock));
    (clock, cache)
}

#[test]
fn requests_that_may_differ_have_different_keys() {
    let path = "/qrcode?scene_id=1";
    let keys = [
        key(path, &[]),
        key("/qrcode?scene_id=2", &[]),
        key("/wx/qrcode?scene_id=1", &[]),
        key(path, &[(header::ACCEPT, "")]),
        key(path, &[(header::ACCEPT, "en")]),
        key(path, &[(header::ACCEPT_LANGUAGE, "en")]),
        key(path, &[(header::ACCEPT, "a"), (header::ACCEPT, "b")]),
        key(path, &[(header::ACCEPT, "ab")]),
        key(path, &[(header::IF_NONE_MATCH, "*")]),
        key(path, &[(header::ORIGIN, "https://a.example")]),
    ];
    for (n, one) in keys.iter().enumerate() {
        assert!(one.is_some(), "{n}");
        assert!(!keys[..n].contains(one), "{n}");
    }
    let host = key(path, &[(header::HOST, "a.example")]);
    assert_eq!(host, keys[0], "no response depends on it");
}

#[test]
fn what_may_depend_on_the_caller_has_no_key() {
    let long = "a".repeat(9 * 1024);
    for (path, headers) in [
        ("/qrcode?scene_id=1", [(header::AUTHORIZATION, "Bearer a")]),
        ("/qrcode?scene_id=1", [(header::COOKIE, "a=b")]),
        ("/api/codes", [(header::ACCEPT, "*/*")]),
        ("/", [(header::ACCEPT, "*/*")]),
        (
            &*format!("/qrcode?scene_id=1&a={long}"),
            [(header::ACCEPT, "*/*")],
        ),
    ] {
        assert_eq!(key(path, &headers), None, "{path} {headers:?}");
    }
    let mut head = request("/qrcode?scene_id=1", &[]);
    *head.method_mut() = Method::HEAD;
    assert_eq!(Key::of(&head), None);
}

#[tokio::test]
async fn a_response_is_kept_while_it_is_valid() {
    let (clock, cache) = cache();
    let key = key("/qrcode?scene_id=1", &[]).unwrap();
    let line = Line::default();
    let code = code();
    let valid = clock.now()..clock.now() + SECOND;
    let given = cache
        .keep(key.clone(), &line, offered("page", valid, &code))
        .await;
    let kept = cache.get(&key).unwrap().response();
    for response in [given, kept] {
        assert_eq!(to_bytes(response.into_body(), 10).await.unwrap(), "page");
    }
    clock.advance(SECOND);
    assert!(cache.get(&key).is_none());
}

#[tokio::test]
async fn a_response_is_kept_while_its_code_is() {
    let (clock, cache) = cache();
    let key = key("/qrcode?scene_id=1", &[]).unwrap();
    let code = code();
    let valid = clock.now()..clock.now() + SECOND;
    let response = offered("page", valid, &code);
    cache.keep(key.clone(), &Line::default(), response).await;
    assert!(cache.get(&key).is_some());
    drop(code);
    assert!(cache.get(&key).is_none());
}

#[tokio::test]
async fn what_no_handler_offers_is_not_kept() {
    let (_, cache) = cache();
    let key = key("/qrcode?scene_id=1", &[]).unwrap();
    let response = Response::new(Body::from("page"));
    let given = cache.keep(key.clone(), &Line::default(), response).await;
    assert_eq!(to_bytes(given.into_body(), 10).await.unwrap(), "page");
    assert!(cache.get(&key).is_none());
}

#[tokio::test]
async fn memory_is_bounded() {
    let (clock, cache) = cache();
    let code = code();
    let valid = clock.now()..clock.now() + SECOND;
    let fill = async |body: usize, id: usize| {
        let key = key(&format!("/qrcode?scene_id={id}"), &[]).unwrap();
        let response = offered(vec![b'a'; body], valid.clone(), &code);
        cache.keep(key.clone(), &Line::default(), response).await;
        cache.get(&key).is_some()
    };
    assert!(fill(MAX_BODY, 0).await);
    assert!(!fill(MAX_BODY + 1, 1).await);
    for id in 0..1000 {
        fill(MAX_BODY, id).await;
    }
    let weight = cache.responses.weight();
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&weight), "{weight}");
}
