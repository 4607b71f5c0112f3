//! The stores of all features, over one database.

use std::sync::Arc;

use secrecy::SecretString;

use crate::bindings::BindingStore;
use crate::channels::{self, ChannelStore};
use crate::clock::Clock;
use crate::codes::{CLOCK_TOLERANCE, CodeStore};
use crate::db::{ClockDifference, Database, MigrationConnection, OpenError, UpstreamIdentity};
use crate::statistics::{EventStore, PersonKey, person_key};
use crate::webhooks::WebhookStore;

/// The stores of all features. Clones are handles to the same database.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The database itself: health, closing.
    pub database: Database,
    /// Codes, and what replicas agree on.
    pub codes: CodeStore,
    /// Names of scenes.
    pub channels: ChannelStore,
    /// Events, followers and numbers.
    pub events: EventStore,
    pub bindings: BindingStore,
    /// The progress of webhooks.
    pub webhooks: WebhookStore,
}

impl Stores {
    /// Opens an account's database, and waits half a minute for it. With a person key from
    /// outside, the database keeps none. Warns of files that other users may read.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        url: &SecretString,
        appid: &str,
        upstream: &UpstreamIdentity,
        clock: Arc<dyn Clock>,
        key: Option<&PersonKey>,
    ) -> Result<Self, OpenError> {
        let opened = Database::open_with(url, appid, upstream, clock, &|connection| {
            Box::pin(settle_features(connection, key.cloned()))
        })
        .await?;
        let stores = Self::over(opened);
        warn_of_clocks(&stores.database);
        if key.is_some() {
            stores.events.drop_held_key().await;
        }
        Ok(stores)
    }

    /// Opens in one try, without a warning, and without removing a key from the database.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_now(
        url: &SecretString,
        appid: &str,
        upstream: &UpstreamIdentity,
        clock: Arc<dyn Clock>,
        key: Option<&PersonKey>,
    ) -> Result<Self, OpenError> {
        let opened = Database::open_now_with(url, appid, upstream, clock, &|connection| {
            Box::pin(settle_features(connection, key.cloned()))
        })
        .await?;
        Ok(Self::over(opened))
    }

    fn over((database, key): (Database, PersonKey)) -> Self {
        Self {
            codes: CodeStore::new(database.clone()),
            channels: ChannelStore::new(database.clone()),
            events: EventStore::new(database.clone(), key),
            bindings: BindingStore::new(database.clone()),
            webhooks: WebhookStore::new(database.clone()),
            database,
        }
    }
}

/// Runs what features do in the transaction that brings the tables up to date. Returns the person
/// key.
async fn settle_features(
    connection: &mut MigrationConnection,
    key: Option<PersonKey>,
) -> Result<PersonKey, OpenError> {
    channels::refresh_search_keys(connection).await?;
    person_key::settle(connection, key).await
}

/// Warns where replicas could take each other's leases before their time.
fn warn_of_clocks(database: &Database) {
    let difference = database.clock_difference();
    if let Some(difference) = difference.filter(|it| it.exceeds(CLOCK_TOLERANCE)) {
        let action = ClockDifference::ACTION;
        tracing::warn!(%difference, action, "the clocks differ");
    }
}
