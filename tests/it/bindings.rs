//! Signing in by a scan.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::app::{Builder, TestApp};
use crate::support::callback::{events, numbers, post, with_callback};
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::keys;
use crate::support::pushes::{AES_KEY, ALICE, BOB, PushedEvent, sealed};

fn service(database: &Database) -> Builder {
    with_callback(database).set("ENCODING_AES_KEY", AES_KEY)
}

async fn ask(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    let request = app.request(method, path).bearer_auth(keys::BIND);
    Answer::to(request.json(body)).await
}

/// A new binding and the scene and ticket of its code.
struct Made {
    id: String,
    scene: String,
    ticket: String,
}

async fn make(app: &TestApp) -> Made {
    let answer = ask(
        app,
        Method::POST,
        "/api/bindings",
        &json!({"context": "session 7"}),
    )
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json();
    assert_eq!(made["status"], "pending");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Made {
        id: text(&made["id"]),
        scene: text(&made["code"]["scene_str"]),
        ticket: text(&made["code"]["ticket"]),
    }
}

impl Made {
    async fn status(&self, app: &TestApp, wait: u32) -> String {
        let path = format!("/api/bindings/{}?wait={wait}", self.id);
        ask(app, Method::GET, &path, &Value::Null)
            .await
            .field("status")
    }

    /// The answer of a long poll during which the code is scanned.
    async fn status_while(&self, app: &TestApp, scan: impl Future<Output = ()>) -> String {
        let started = Instant::now();
        let (status, ()) = tokio::join!(self.status(app, 25), scan);
        // At the end of the wait the database is read in any case: only an answer before it was
        // caused by the scan.
        let took = started.elapsed();
        assert!(took < Duration::from_secs(15), "the whole wait: {took:?}");
        status
    }

    async fn claim(&self, app: &TestApp) -> Answer {
        let path = format!("/api/bindings/{}/claim", self.id);
        ask(app, Method::POST, &path, &Value::Null).await
    }

    async fn scanned_by(&self, app: &TestApp, openid: &str) {
        push(app, &PushedEvent::scan(openid, &self.scene, &self.ticket)).await;
    }
}

async fn push(app: &TestApp, pushed_event: &PushedEvent) {
    let (query, body) = sealed(&pushed_event.openid, &pushed_event.xml());
    assert_eq!(post(app, &query, body).await.text(), "success");
}

#[tokio::test]
async fn without_the_safe_mode_there_are_no_bindings() {
    let app = with_callback(&Database::memory()).spawn().await;
    let answer = ask(&app, Method::POST, "/api/bindings", &json!({})).await;
    assert_eq!(
        answer.problem(),
        (409, "bindings_need_safe_mode".to_owned())
    );
}

#[tokio::test]
async fn only_a_key_with_the_scope_binds() {
    let app = service(&Database::memory()).spawn().await;
    let made = make(&app).await;
    for (method, path) in [
        (Method::POST, "/api/bindings".to_owned()),
        (Method::GET, format!("/api/bindings/{}", made.id)),
        (Method::POST, format!("/api/bindings/{}/claim", made.id)),
    ] {
        let nobody = Answer::to(app.request(method.clone(), &path)).await;
        assert_eq!(nobody.problem(), (401, "unauthorized".to_owned()), "{path}");
        for key in [keys::MINT, keys::PERMANENT, keys::STATS, keys::PEOPLE] {
            let other = app.request(method.clone(), &path).bearer_auth(key);
            let other = Answer::to(other).await;
            assert_eq!(other.problem(), (403, "scope_missing".to_owned()), "{path}");
        }
    }
}

#[tokio::test]
async fn a_scan_ends_the_wait_and_is_claimed_once() {
    let database = Database::sqlite();
    let app = service(&database).spawn().await;
    let made = make(&app).await;
    assert_eq!(
        made.claim(&app).await.problem(),
        (409, "binding_not_scanned".to_owned())
    );
    let scan = async {
        made.scanned_by(&app, ALICE).await;
        // Too late: the first one counts.
        made.scanned_by(&app, BOB).await;
    };
    assert_eq!(made.status_while(&app, scan).await, "scanned");
    let claimed = made.claim(&app).await;
    assert_eq!(
        claimed.json(),
        json!({"id": made.id, "status": "claimed", "openid": ALICE, "context": "session 7"})
    );
    assert_eq!(
        made.claim(&app).await.problem(),
        (409, "binding_claimed".to_owned())
    );
    assert_eq!(made.status(&app, 25).await, "claimed");
    let rows = numbers(&database.store().await).await;
    assert!(rows.is_empty(), "outside the statistics: {rows:?}");
    let listed = app.get_as(keys::STATS, "/api/codes").await;
    assert_eq!(listed.json()["items"], json!([]));
}

#[tokio::test]
async fn a_bindings_code_is_unique_and_never_counted() {
    let database = Database::sqlite();
    let app = service(&database).spawn().await;
    let made = make(&app).await;
    let asked = app
        .get(&format!("/qrcode.json?scene_str={}", made.scene))
        .await;
    assert_eq!(asked.problem(), (400, "invalid_parameter".to_owned()));
    made.scanned_by(&app, ALICE).await;
    // Long after, when the binding was cleared away.
    database.run("DELETE FROM binding").await;
    made.scanned_by(&app, BOB).await;
    let store = database.store().await;
    assert!(numbers(&store).await.is_empty());
    assert!(events(&store).await.is_empty(), "nor listed");
}

#[tokio::test]
async fn a_wait_without_a_scan_ends_and_may_be_repeated() {
    let app = service(&Database::memory()).spawn().await;
    let made = make(&app).await;
    for wait in [0, 1] {
        assert_eq!(made.status(&app, wait).await, "pending");
    }
}

#[tokio::test]
async fn a_scan_that_another_replica_received_ends_the_wait() {
    let database = Database::sqlite();
    let (waiting, receiving) = (
        service(&database).spawn().await,
        service(&database).spawn().await,
    );
    let made = make(&waiting).await;
    let scan = made.scanned_by(&receiving, ALICE);
    assert_eq!(made.status_while(&waiting, scan).await, "scanned");
}

async fn of_claims_at_once_one_succeeds(database: Database) {
    let replicas = [
        service(&database).spawn().await,
        service(&database).spawn().await,
    ];
    for _ in 0..20 {
        let made = make(&replicas[0]).await;
        made.scanned_by(&replicas[1], ALICE).await;
        let claims = join_all([0, 1, 0, 1].map(|n| made.claim(&replicas[n]))).await;
        let succeeded = claims.iter().filter(|claim| claim.status == 200);
        assert_eq!(succeeded.count(), 1, "{claims:?}");
        assert!(
            claims
                .iter()
                .all(|claim| [200, 409].contains(&claim.status.as_u16()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_claims_at_once_one_succeeds() {
    of_claims_at_once_one_succeeds(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_claims_at_once_one_succeeds_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        of_claims_at_once_one_succeeds(database).await;
    }
}

#[tokio::test]
async fn what_has_ended_is_neither_scanned_nor_claimed() {
    let database = Database::sqlite();
    let app = service(&database).spawn().await;
    let [scanned, pending] = [make(&app).await, make(&app).await];
    scanned.scanned_by(&app, ALICE).await;
    database.run("UPDATE binding SET expires_at = 1000").await;
    pending.scanned_by(&app, ALICE).await;
    for made in [scanned, pending] {
        assert_eq!(made.status(&app, 25).await, "expired");
        assert_eq!(
            made.claim(&app).await.problem(),
            (410, "binding_expired".to_owned())
        );
    }
}

#[tokio::test]
async fn claim_after_an_unfollow_gives_no_openid() {
    let app = service(&Database::memory()).spawn().await;
    let made = make(&app).await;
    made.scanned_by(&app, ALICE).await;
    push(&app, &PushedEvent::leave(ALICE)).await;
    let claim = made.claim(&app).await;
    assert_eq!(claim.problem(), (410, "follower_left".to_owned()));
    assert!(!claim.text().contains(ALICE));
}

#[tokio::test]
async fn a_binding_request_is_parsed_strictly() {
    let app = service(&Database::memory()).spawn().await;
    for (body, parameter) in [
        (json!({"expire_seconds": 59}), "expire_seconds"),
        (json!({"expire_seconds": 1801}), "expire_seconds"),
        (json!({"expire_seconds": "300"}), "expire_seconds"),
        (json!({"context": "c".repeat(1025)}), "context"),
        (json!({"context": "a\u{0}b"}), "context"),
        (json!({"context": {}}), "context"),
        (json!({"life": 300}), "life"),
    ] {
        let answer = ask(&app, Method::POST, "/api/bindings", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.field("parameter"), parameter, "{body}");
    }
    for body in ["", "{}"] {
        let made = app.post_as(keys::BIND, "/api/bindings", body).await;
        assert_eq!(made.status, 201, "body {body:?}");
    }
    let made = make(&app).await;
    for query in ["wait=26", "wait=-1", "wait=", "weit=1", "wait=1&wait=1"] {
        let path = format!("/api/bindings/{}?{query}", made.id);
        let answer = ask(&app, Method::GET, &path, &Value::Null).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(app.creates(), 3, "nothing is minted for an invalid request");
}

async fn no_other_text_is_an_id(database: Database) {
    let app = service(&database).spawn().await;
    let (known, unknown) = (make(&app).await.id, "A".repeat(22));
    for id in [
        unknown.as_str(),
        "%00",
        "%FF",
        "%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80AA",
        &format!("{}%00", &known[1..]),
        &format!("{}+", &known[1..]),
        &format!("{known}A"),
        &known[1..],
        &"A".repeat(5000),
    ] {
        for (method, end) in [(Method::GET, ""), (Method::POST, "/claim")] {
            let path = format!("/api/bindings/{id}{end}");
            let answer = ask(&app, method, &path, &Value::Null).await;
            assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
            assert_eq!(
                answer.field("detail"),
                "there is no such binding, or it ended long ago",
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_an_id_is_unknown() {
    no_other_text_is_an_id(Database::sqlite()).await;
}

#[tokio::test]
async fn what_cannot_be_an_id_is_unknown_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        no_other_text_is_an_id(database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_cannot_be_guessed() {
    let guesses = sized(2_000, 100_000);
    let database = Database::sqlite();
    let app = service(&database).spawn().await;
    let made = make(&app).await;
    made.scanned_by(&app, ALICE).await;
    let letters: Vec<char> = made.id.chars().collect();
    let guess = |n: usize| -> String {
        // Near ones: one letter changed, two changed, two in each other's place, or one dropped.
        let (at, way) = (n % letters.len(), n / letters.len());
        let another = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
        let beside = (at + 1 + way / 4) % letters.len();
        let mut guess = letters.clone();
        match way % 4 {
            0 => guess[at] = another(way / 4),
            1 => (guess[at], guess[beside]) = (another(way / 4), another(way / 104)),
            2 => guess.swap(at, beside),
            _ => drop(guess.remove(at)),
        }
        guess.into_iter().collect()
    };
    let mut answers = 0;
    let wrong = (0..).map(guess).filter(|guess| *guess != made.id);
    let all: Vec<_> = wrong.take(guesses).collect();
    for some in all.chunks(64) {
        let asked = join_all(some.iter().enumerate().map(|(n, guess)| {
            let (method, path) = match n % 2 {
                0 => (Method::GET, format!("/api/bindings/{guess}")),
                _ => (Method::POST, format!("/api/bindings/{guess}/claim")),
            };
            let app = &app;
            async move { ask(app, method, &path, &Value::Null).await.status }
        }));
        let asked = asked.await;
        // A busy machine may refuse to read.
        let answered = asked
            .iter()
            .filter(|status| ![404, 503].contains(&status.as_u16()));
        answers += answered.count();
    }
    assert_eq!(answers, 0);
    assert_eq!(made.claim(&app).await.status, 200);
    let what = format!(
        "{} guesses of a binding's id, near the right one",
        grouped(all.len())
    );
    Figures::of(what).exactly("answered", 0, answers);
}
