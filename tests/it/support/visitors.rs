//! Visitors while the database is in trouble, and what they are promised.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;

use super::answer::Answer;
use super::fleet::Replica;

/// What no answer may take, whatever the database does.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(5500);

/// How soon all is well again once the database is back.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(5);

/// Codes that the process knows: as many permanent as temporary ones.
pub(crate) async fn known_codes(replica: &Replica) -> Vec<String> {
    let mut paths = Vec::new();
    for id in 1..=20 {
        for query in ["", "&permanent=true"] {
            let path = format!("/qrcode.json?scene_id={id}{query}");
            assert_eq!(replica.keyed(&path).await.status, StatusCode::OK);
            paths.push(path);
        }
    }
    paths
}

/// Requests for known codes until they are stopped. Returns every answer.
pub(crate) async fn visit(replica: &Replica, known: &[String], stop: &AtomicBool) -> Vec<Answer> {
    let visitor = |offset: usize| async move {
        let mut answers = Vec::new();
        for path in known.iter().cycle().skip(offset) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            answers.push(replica.get(path).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        answers
    };
    let answers = join_all((0..8).map(|n| visitor(n * 5))).await;
    answers.into_iter().flatten().collect()
}

pub(crate) fn readiness(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.field("status"))
}
