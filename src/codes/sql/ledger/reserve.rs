//! A reservation: the intent is written and counted, before the call to WeChat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use wechat::Api;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::intent::Intent;
use super::recording::add_to_stock;
use super::stock::{USED_STOCK, count};
use crate::codes::sql::columns;
use crate::codes::sql::entries::{Entry, entries, find_entries};
use crate::codes::sql::inserting::{bind_row, insert_sql};
use crate::codes::sql::stops::{Stop, find_stop, stop};
use crate::codes::sql::store::CodeStore;
use crate::db::{BatchCommand, Error, Transaction, placeholders};
use crate::telemetry::Causes;

/// How long the outcome of a mint stays unknown before another caller may repeat it. The mint that
/// wrote it must be over by then; `codes::permanent` holds the two together.
pub const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// How often a mint of unknown outcome may be repeated. Each may have consumed stock.
const MAX_REPEATS: i64 = 3;

/// Whether a permanent code may be minted: granted, exists already, pending, or no stock left.
#[derive(Debug)]
pub enum ReserveOutcome {
    /// The call may be made: the intent is written and counted. What the replicas know of stopped
    /// calls comes with it.
    Granted(Intent, Option<Stop>),
    Exists(Box<IssuedCode>),
    /// Another call is in flight, or its outcome is unknown.
    Pending {
        /// Until the mint may be repeated; none once it was repeated as often as it may be.
        retry_after: Option<Duration>,
    },
    Exhausted,
}

/// Stores and counts the intent of a permanent code, or takes an old one of unknown outcome over.
pub(super) struct Reserve {
    pub(super) store: CodeStore,
    pub(super) scene: Scene,
    pub(super) limit: u64,
    pub(super) created_by: Option<Arc<str>>,
    pub(super) now: Timestamp,
    /// How often it was executed.
    pub(super) executions: AtomicU32,
}

/// A reservation on its way to its caller. Dropped before, its intent is withdrawn: no call will be
/// made for it.
pub(super) struct Undelivered {
    store: CodeStore,
    reservation: Option<ReserveOutcome>,
}

impl Undelivered {
    pub(super) fn deliver(mut self) -> ReserveOutcome {
        self.reservation.take().expect("it is delivered once")
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        let Some(ReserveOutcome::Granted(intent, _)) = self.reservation.take() else {
            return;
        };
        let store = self.store.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = store.withdraw(&intent).await {
                    tracing::debug!(error = %Causes(&error), "an unused intent counts until it is repeated");
                }
            });
        }
    }
}

// An intent outlives whatever happens during the call.
const _: () = assert!(Reserve::IS_SYNCED);

impl BatchCommand for Reserve {
    type Output = Undelivered;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Undelivered>, Error> {
        let scenes = commands.iter().map(|reserve| &reserve.scene).collect();
        let appid = write.appid();
        let find_used = sqlx::query(USED_STOCK).bind(appid);
        let find_stop = find_stop(appid, Api::Create.as_str());
        let queries = [
            find_entries(write, scenes),
            vec![find_used],
            vec![find_stop],
        ];
        let [found, used, stopped] = write.fetch_each(queries).await?;
        let mut entries = entries(&found)?;
        let used = count(used.first())?;
        let stop = stopped.first().map(stop).transpose()?;
        let mut new = Vec::new();
        let mut reservations = Vec::with_capacity(commands.len());
        for reserve in commands {
            let reservation = match entries.get(&reserve.scene) {
                Some(Entry::Code(code)) => ReserveOutcome::Exists(code.clone()),
                Some(&Entry::Intent { since, attempts }) => {
                    reserve.take_over(write, since, attempts, stop).await?
                }
                None if used + new.len() as u64 >= reserve.limit => ReserveOutcome::Exhausted,
                None => {
                    let intent = reserve.intent(None);
                    new.push(intent.clone());
                    entries.insert(reserve.scene.clone(), intent.entry());
                    ReserveOutcome::Granted(intent, stop)
                }
            };
            reservations.push(Undelivered {
                store: reserve.store.clone(),
                reservation: Some(reservation),
            });
        }
        write_intents(write, &new).await?;
        add_to_stock(write, new.len()).await?;
        Ok(reservations)
    }
}

impl Reserve {
    /// Creates the intent of this execution, a millisecond later than that of the one before: the
    /// withdrawal of an intent that was rolled back must not remove the next one.
    fn intent(&self, repeats: Option<Timestamp>) -> Intent {
        let executions = self.executions.fetch_add(1, Ordering::Relaxed);
        Intent {
            scene: self.scene.clone(),
            created_by: self.created_by.clone(),
            since: self.now + Duration::from_millis(executions.into()),
            repeats,
        }
    }

    /// Takes over an intent of unknown outcome after a while: one caller, a few times.
    async fn take_over(
        &self,
        write: &mut Transaction<'_>,
        since: Timestamp,
        attempts: i64,
        stop: Option<Stop>,
    ) -> Result<ReserveOutcome, Error> {
        let wait = self.now.duration_until(since + REPEAT_AFTER);
        let wait = Duration::try_from(wait).unwrap_or_default();
        if !wait.is_zero() {
            return Ok(ReserveOutcome::Pending {
                retry_after: Some(wait),
            });
        }
        if attempts > MAX_REPEATS {
            return Ok(ReserveOutcome::Pending { retry_after: None });
        }
        let intent = self.intent(Some(since));
        let taken = sqlx::query(
            "UPDATE code SET minted_at = $4, attempts = attempts + 1
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $5",
        )
        .bind(write.appid())
        .bind(self.scene.kind().action_name())
        .bind(columns::scene_text(&self.scene))
        .bind(intent.since.as_millisecond())
        .bind(since.as_millisecond())
        .execute(write)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(ReserveOutcome::Granted(intent, stop));
        }
        Ok(ReserveOutcome::Pending {
            retry_after: Some(REPEAT_AFTER),
        })
    }
}

/// Writes intents of scenes that have no entry.
async fn write_intents(write: &mut Transaction<'_>, intents: &[Intent]) -> Result<(), Error> {
    for chunk in write.chunks(intents) {
        let sql = insert_sql(write.key_lookup(), chunk.len(), &[]);
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for intent in chunk {
            let created_by = intent.created_by.as_deref();
            query = bind_row(query, &intent.scene, created_by, intent.since);
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wechat::scene::PermanentScene;

    use super::*;
    use crate::clock::SystemClock;
    use crate::codes::sql::fixture::Fails;

    fn poster() -> PermanentScene {
        PermanentScene::Text("poster".parse().unwrap())
    }

    #[tokio::test]
    async fn an_intent_stands_although_its_first_transaction_was_rolled_back() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let scene = poster();
        let (reserved, failed) =
            tokio::join!(store.reserve(&scene, 10, None), store.db.execute(Fails));
        assert!(failed.is_err());
        let granted = matches!(reserved, Ok(ReserveOutcome::Granted(..)));
        assert!(granted, "{reserved:?}");
        // The withdrawal of the one that was rolled back is executed before some of these.
        for _ in 0..3 {
            let again = store.reserve(&scene, 10, None).await.unwrap();
            assert!(matches!(again, ReserveOutcome::Pending { .. }), "{again:?}");
        }
        assert_eq!(store.stock().await.unwrap().used, 1);
    }

    #[tokio::test]
    async fn an_intent_that_no_caller_gets_is_withdrawn() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let undelivered = Undelivered {
            store: store.clone(),
            reservation: Some(store.reserve(&poster(), 1, None).await.unwrap()),
        };
        drop(undelivered);
        // The withdrawal is a task of its own, so it may come after some of these.
        for _ in 0..100 {
            let again = store.reserve(&poster(), 1, None).await.unwrap();
            if matches!(again, ReserveOutcome::Granted(..)) {
                return assert_eq!(store.stock().await.unwrap().used, 1);
            }
        }
        unreachable!("the stock is still held");
    }
}
