//! The check of SQLite's file for damage, beside the service.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wxqr::app::Stores;
use wxqr::clock::SystemClock;
use wxqr::db::Damage;

use super::contract::{APP_ID, open};
use crate::support::database::Database;

async fn open_file(database: &Database) -> Stores {
    let opened = open(&database.url, APP_ID, "test", Arc::new(SystemClock)).await;
    opened.unwrap()
}

async fn check(store: &Stores) -> Option<Damage> {
    let stop = CancellationToken::new();
    store.database.check_integrity(&stop).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_the_opening_does_not_meet_is_found_by_the_check() {
    for tree in ["ticket", "sqlite_autoindex_ticket_1", "ticket_by_end"] {
        let database = Database::sqlite();
        let store = open_file(&database).await;
        database.fill_with_tickets().await;
        assert_eq!(check(&store).await, None, "{tree}");
        assert!(!store.database.is_damaged());
        store.database.close().await;

        database.damage_a_page_of(tree).await;
        let store = open_file(&database).await;
        let damage = check(&store).await;
        assert!(damage.is_some(), "{tree}");
        assert!(store.database.is_damaged());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_list_of_free_pages_is_found() {
    let database = Database::sqlite();
    let store = open_file(&database).await;
    database.fill_with_tickets().await;
    database.run("DELETE FROM ticket").await;
    assert_eq!(check(&store).await, None);
    store.database.close().await;
    let file = std::fs::File::options().write(true).open(database.file());
    // The number of free pages, in the header.
    file.unwrap().write_all_at(&[0, 0, 0, 1], 36).unwrap();
    assert!(check(&open_file(&database).await).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_check_ends_without_a_result() {
    let database = Database::sqlite();
    let store = open_file(&database).await;
    database.fill_with_tickets().await;
    store.database.close().await;
    database.damage_a_page_of("ticket").await;
    let store = open_file(&database).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(store.database.check_integrity(&stop).await.unwrap(), None);
    assert!(!store.database.is_damaged());
}
