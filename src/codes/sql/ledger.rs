//! The permanent ledger, with write-ahead intents. WeChat gives an account 100 000 permanent codes
//! for its life and deletes none, so an intent is written before the call and counts from then on,
//! and a result is written before the answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::Api;
use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::columns;
use super::daily_counters::{MINTS, add_to_today};
use super::inserting::{bind_row, insert_sql};
use super::stops::{Stop, find_stop, stop};
use super::store::CodeStore;
use super::tickets::remember_all;
use crate::db::{
    BatchCommand, Command, Error, Query, ReadKind, Transaction, Urgency, placeholders, row,
};
use crate::telemetry::Causes;

/// How long the outcome of a mint stays unknown before another caller may repeat it. The mint that
/// wrote it must be over by then; `codes::permanent` holds the two together.
pub const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// How often a mint of unknown outcome may be repeated. Each may have consumed stock.
const MAX_REPEATS: i64 = 3;

/// Has an index: it runs every few seconds, and temporary codes may be millions.
const COUNT_UNKNOWN: &str = "SELECT COUNT(*) FROM code WHERE appid = $1 AND ticket IS NULL";

/// The result of a reservation.
#[derive(Debug)]
pub enum ReserveOutcome {
    /// The call may be made: the intent is written and counted. What the replicas know of stopped
    /// calls comes with it.
    Granted(Intent, Option<Stop>),
    /// The code exists.
    Exists(Box<IssuedCode>),
    /// Another call is in flight, or its outcome is unknown.
    Pending {
        /// Until the mint may be repeated; none once it was repeated as often as it may be.
        retry_after: Option<Duration>,
    },
    /// The ledger is full.
    Exhausted,
}

/// Write-ahead row of one mint, and the permission to call WeChat once. Its outcome is recorded
/// with [`CodeStore::confirm`] or [`CodeStore::withdraw`]; an intent that is dropped stays in the
/// ledger and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    scene: Scene,
    /// The name of the key that asked.
    created_by: Option<Arc<str>>,
    /// When it was written: a later one of the scene has another time.
    since: Timestamp,
    /// When the intent of an earlier call of unknown outcome was written, if this one repeats it.
    repeats: Option<Timestamp>,
}

impl Intent {
    /// What the code is to carry.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// What the ledger has after its first execution.
    fn entry(&self) -> Entry {
        Entry::Intent {
            since: self.since,
            attempts: 1,
        }
    }
}

/// How much of the permanent stock is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Codes and intents.
    pub used: u64,
    /// Mints whose outcome is not known.
    pub unknown: u64,
}

impl CodeStore {
    /// Asks to mint a permanent code for a key of this name. At most `limit` codes and intents are
    /// counted. Cancel safe: an intent that no caller gets is withdrawn.
    ///
    /// # Errors
    /// When the store cannot be used: then nothing was reserved, or it is withdrawn by the next
    /// chance.
    pub async fn reserve(
        &self,
        scene: &PermanentScene,
        limit: u64,
        created_by: Option<Arc<str>>,
    ) -> Result<ReserveOutcome, Error> {
        let reserve = Reserve {
            store: self.clone(),
            scene: Scene::Permanent(scene.clone()),
            limit,
            created_by,
            now: self.db.now(),
            executions: AtomicU32::new(0),
        };
        Ok(self.db.execute(reserve).await?.deliver())
    }

    /// Writes the result of a mint, and counts the mint. The first one that is stored wins, and it
    /// is what comes back.
    ///
    /// # Errors
    /// When the store cannot be used. The code exists at WeChat then, so the call is to be repeated
    /// until it succeeds.
    pub async fn confirm(&self, intent: &Intent, code: &IssuedCode) -> Result<IssuedCode, Error> {
        let confirm = Confirm {
            intent: intent.clone(),
            code: code.clone(),
            now: self.db.now(),
        };
        self.db.execute(confirm).await
    }

    /// Takes an intent back, because the call certainly made no code. After a repeat it is as
    /// before that, because the call before it may have made one. Withdrawn again, nothing
    /// changes.
    ///
    /// # Errors
    /// When the store cannot be used: the intent stays and counts.
    pub async fn withdraw(&self, intent: &Intent) -> Result<(), Error> {
        self.db.execute(Withdraw(intent.clone())).await
    }

    /// How much of the stock is used.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn stock(&self) -> Result<Stock, Error> {
        let used = sqlx::query(USED_STOCK).bind(self.db.appid());
        let unknown = sqlx::query(COUNT_UNKNOWN).bind(self.db.appid());
        self.db
            .read(ReadKind::Read, async {
                let used = used.fetch_optional(self.db.autocommit()).await?;
                let unknown: i64 = unknown.fetch_one(self.db.autocommit()).await?.try_get(0)?;
                Ok(Stock {
                    used: count(used.as_ref())?,
                    unknown: u64::try_from(unknown).unwrap_or(0),
                })
            })
            .await
    }
}

const USED_STOCK: &str = "SELECT used FROM stock WHERE appid = $1";

fn count(found: Option<&AnyRow>) -> Result<u64, Error> {
    let used: i64 = found.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(used).unwrap_or(0))
}

struct Reserve {
    store: CodeStore,
    scene: Scene,
    limit: u64,
    created_by: Option<Arc<str>>,
    now: Timestamp,
    /// How often it was executed.
    executions: AtomicU32,
}

/// A reservation on its way to its caller. Dropped before, its intent is withdrawn: no call will be
/// made for it.
struct Undelivered {
    store: CodeStore,
    reservation: Option<ReserveOutcome>,
}

impl Undelivered {
    fn deliver(mut self) -> ReserveOutcome {
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
    /// Each execution makes another intent, a millisecond later, so that the withdrawal of one that
    /// was rolled back does not remove the next one.
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

struct Confirm {
    intent: Intent,
    code: IssuedCode,
    now: Timestamp,
}

impl BatchCommand for Confirm {
    type Output = IssuedCode;

    const URGENCY: Urgency = Urgency::First;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<IssuedCode>, Error> {
        let codes: Vec<_> = commands.iter().map(Confirm::entry).collect();
        let recorded = record_all(write, &codes).await?;
        if let Some(last) = commands.last() {
            add_to_today(write, last.now, &[(MINTS, recorded.new)]).await?;
        }
        Ok(recorded.kept)
    }
}

impl Confirm {
    fn entry(&self) -> NewEntry<'_> {
        NewEntry {
            scene: &self.intent.scene,
            code: &self.code,
            created_by: self.intent.created_by.as_deref(),
            now: self.now,
        }
    }
}

struct Withdraw(Intent);

impl Command for Withdraw {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        let sql = if self.0.repeats.is_some() {
            "UPDATE code SET attempts = attempts - 1, minted_at = $5
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4"
        } else {
            "DELETE FROM code
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4"
        };
        let mut query = sqlx::query(sql)
            .bind(write.appid())
            .bind(self.0.scene.kind().action_name())
            .bind(columns::scene_text(&self.0.scene))
            .bind(self.0.since.as_millisecond());
        if let Some(before) = self.0.repeats {
            query = query.bind(before.as_millisecond());
        }
        let changed = query.execute(&mut *write).await?;
        if self.0.repeats.is_none() && changed.rows_affected() == 1 {
            sqlx::query("UPDATE stock SET used = used - 1 WHERE appid = $1")
                .bind(write.appid())
                .execute(write)
                .await?;
        }
        Ok(())
    }
}

/// What is stored under a scene: with a temporary one, a code only.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Code(Box<IssuedCode>),
    Intent { since: Timestamp, attempts: i64 },
}

/// Finds what is stored under scenes.
pub(super) fn find_entries<'q>(
    write: &Transaction<'q>,
    scenes: BTreeSet<&Scene>,
) -> Vec<Query<'q>> {
    let scenes: Vec<_> = scenes.into_iter().collect();
    let queries = write.chunks(&scenes).map(|chunk| {
        let sql = find_sql(chunk.len());
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for scene in chunk {
            query = query
                .bind(scene.kind().action_name())
                .bind(columns::scene_text(scene));
        }
        query
    });
    queries.collect()
}

/// The entries that [`find_entries`] found.
pub(super) fn entries(found: &[AnyRow]) -> Result<HashMap<Scene, Entry>, Error> {
    let entries = found
        .iter()
        .map(|row| Ok((columns::scene(row)?, entry(row)?)));
    entries.collect()
}

fn find_sql(scenes: usize) -> String {
    format!(
        "WITH wanted (kind, scene) AS (VALUES {})
         SELECT code.kind, code.scene, ticket, url, minted_at, asked, granted, attempts
         FROM wanted JOIN code
           ON code.appid = $1 AND code.kind = wanted.kind AND code.scene = wanted.scene",
        placeholders::rows(scenes, 2)
    )
}

fn entry(found: &AnyRow) -> Result<Entry, Error> {
    Ok(match columns::code(found)? {
        Some(code) => Entry::Code(Box::new(code)),
        None => Entry::Intent {
            since: row::instant(found.try_get("minted_at")?)?,
            attempts: found.try_get("attempts")?,
        },
    })
}

/// A code that exists and is to be in the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewEntry<'a> {
    pub(super) scene: &'a Scene,
    pub(super) code: &'a IssuedCode,
    /// The name of the key that had it created or recorded.
    pub(super) created_by: Option<&'a str>,
    /// The time of its recording.
    pub(super) now: Timestamp,
}

/// What became of codes that exist.
pub(super) struct RecordedCodes {
    /// The code of each one's scene, in order.
    kept: Vec<IssuedCode>,
    /// How many were not recorded before.
    new: u64,
}

/// Stores codes that exist, and counts those whose intents are not counted. The first code of a
/// scene wins. The ticket of another is remembered too: it carries the same scene.
pub(super) async fn record_all(
    write: &mut Transaction<'_>,
    codes: &[NewEntry<'_>],
) -> Result<RecordedCodes, Error> {
    let scenes = codes.iter().map(|new| new.scene).collect();
    let queries = [find_entries(write, scenes)];
    let [found] = write.fetch_each(queries).await?;
    let mut entries = entries(&found)?;
    let mut first = BTreeMap::new();
    let mut uncounted = 0;
    let mut kept = Vec::with_capacity(codes.len());
    for new in codes {
        let NewEntry { scene, code, .. } = *new;
        let entry = Entry::Code(Box::new(code.clone()));
        match entries.insert(scene.clone(), entry) {
            Some(Entry::Code(winner)) => {
                kept.push((*winner).clone());
                entries.insert(scene.clone(), Entry::Code(winner));
                continue;
            }
            Some(Entry::Intent { .. }) => {}
            // The intent is gone, as after a restore.
            None => uncounted += 1,
        }
        first.insert(scene, *new);
        kept.push(code.clone());
    }
    write_results(write, &first.into_values().collect::<Vec<_>>()).await?;
    let tickets = codes.iter().map(|new| (new.scene, new.code));
    let new = remember_all(write, tickets).await?.len() as u64;
    add_to_stock(write, uncounted).await?;
    Ok(RecordedCodes { kept, new })
}

/// Stores the codes of scenes that have none. The code of an intent was created when and by whom
/// the intent says.
async fn write_results(write: &mut Transaction<'_>, codes: &[NewEntry<'_>]) -> Result<(), Error> {
    for chunk in write.chunks(codes) {
        let insert = insert_sql(chunk.len(), &["ticket", "url", "url_key"]);
        let sql = format!(
            "{insert} ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 ticket = excluded.ticket, url = excluded.url, url_key = excluded.url_key
             WHERE code.ticket IS NULL"
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for new in chunk {
            query = bind_row(query, new.scene, new.created_by, new.now)
                .bind(new.code.ticket.as_str())
                .bind(new.code.url.as_str())
                .bind(new.code.url.key());
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

/// Writes intents of scenes that have no entry.
async fn write_intents(write: &mut Transaction<'_>, intents: &[Intent]) -> Result<(), Error> {
    for chunk in write.chunks(intents) {
        let sql = insert_sql(chunk.len(), &[]);
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for intent in chunk {
            let created_by = intent.created_by.as_deref();
            query = bind_row(query, &intent.scene, created_by, intent.since);
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

/// Counts codes and intents that are new.
async fn add_to_stock(write: &mut Transaction<'_>, new: usize) -> Result<(), Error> {
    if new == 0 {
        return Ok(());
    }
    let add = sqlx::query(
        "INSERT INTO stock (appid, used) VALUES ($1, $2)
         ON CONFLICT (appid) DO UPDATE SET used = stock.used + excluded.used",
    )
    .bind(write.appid())
    .bind(i64::try_from(new).unwrap_or(i64::MAX));
    write.execute_later(add).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn entries_are_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(find_sql(3)).await;
        let keys = |step: &String| step.contains("(appid=? AND kind=? AND scene=?)");
        assert!(plan.iter().any(keys), "{plan:?}");
    }

    /// Fails after what is reserved in its group.
    struct Fails;

    impl Command for Fails {
        type Output = ();

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            Err(Error::BadRow("a row, for the test"))
        }
    }

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

    #[tokio::test]
    async fn mints_of_unknown_outcome_are_counted_by_themselves() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(COUNT_UNKNOWN.to_owned()).await;
        assert!(plan[0].contains("code_of_unknown_outcome"), "{plan:?}");
    }
}
