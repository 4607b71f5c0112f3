//! Events that are stored without a push.

use futures_util::future::{join_all, try_join_all};
use wxqr::app::Stores;
use wxqr::db::Error;
use wxqr::statistics::{DatedEvent, Recorded};

/// Stores events at once; they are executed in their order.
pub(crate) async fn record(store: &Stores, events: &[DatedEvent]) -> Result<Vec<Recorded>, Error> {
    let all = events.iter().cloned();
    let receipts = try_join_all(all.map(|event| store.events.record_event(event))).await?;
    Ok(receipts
        .into_iter()
        .map(|receipt| receipt.recorded)
        .collect())
}

/// The same on a machine that may be too slow for once: each event is tried until it is stored.
pub(crate) async fn record_at_last(store: &Stores, events: &[DatedEvent]) -> Vec<Recorded> {
    let all = events.iter().map(|event| async move {
        loop {
            match store.events.record_event(event.clone()).await {
                Ok(receipt) => return receipt.recorded,
                Err(Error::BadRow(row)) => unreachable!("{row}"),
                Err(_) => store.database.ping().await.ok(),
            };
        }
    });
    join_all(all).await
}
