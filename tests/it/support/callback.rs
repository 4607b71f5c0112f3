//! A service with a callback, a look into its database, and pushes to it.

use reqwest::Method;
use wxqr::app::Stores;
use wxqr::statistics::{
    EventFilter, EventOrder, Granularity, NumbersFilter, NumbersRow, StoredEvent,
};

use super::answer::Answer;
use super::app::{Builder, TestApp};
use super::database::Database;
use super::pushes::{PushedEvent, TOKEN, signed_query};

/// One with a callback in plain mode.
pub(crate) fn with_callback(database: &Database) -> Builder {
    TestApp::with()
        .set("CALLBACK_TOKEN", TOKEN)
        .set("DATABASE_URL", &database.url)
}

/// Every event, as it was stored.
pub(crate) async fn events(store: &Stores) -> Vec<StoredEvent> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = store
            .events
            .events(&EventFilter::default(), EventOrder::StoredAfter(after), 500)
            .await
            .unwrap()
            .events;
        let Some(last) = page.last() else { return all };
        after = last.seq;
        all.extend(page);
    }
}

/// What the statistics say of all time.
pub(crate) async fn numbers(store: &Stores) -> Vec<NumbersRow> {
    let filter = NumbersFilter {
        scene: None,
        group: None,
        from: "2000-01-01".parse().unwrap(),
        to: "2100-01-01".parse().unwrap(),
        granularity: Granularity::Total,
    };
    let rows = store.events.numbers(&filter).await.unwrap();
    rows.unwrap().collect()
}

/// Sends a push.
pub(crate) async fn push(app: &TestApp, pushed_event: &PushedEvent) -> Answer {
    post(app, &signed_query(&pushed_event.openid), pushed_event.xml()).await
}

/// Sends any body to the callback.
pub(crate) async fn post(app: &TestApp, query: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = app
        .request(Method::POST, &format!("/callback?{query}"))
        .header("Content-Type", "text/xml")
        .body(body.into());
    Answer::to(request).await
}
