//! The SQL of webhooks: one row with the progress, which is also the lease of the replica that
//! sends. It is not one of `codes::sql::lease`: one statement takes it and stores the batch's end.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::batch::EventBatch;
use super::progress::{AttemptFailure, Progress};
use super::receiver::FailureReason;
use crate::db::{Command, Database, Error, ReadKind, Transaction, row};

/// The progress of webhooks, as the database keeps it.
#[derive(Debug, Clone)]
pub struct WebhookStore {
    db: Database,
}

/// What is stored of an attempt that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureRecord {
    pub(super) failure: AttemptFailure,
    /// In a row, this one included.
    pub(super) failures: u32,
    pub(super) next_attempt_at: Timestamp,
}

const PROGRESS: &str = "SELECT delivered_seq, batch_end, delivered_at, failures, failed_at, failure, failure_status, next_try_at
     FROM webhook WHERE appid = $1";

const BEGIN: &str =
    "INSERT INTO webhook (appid, delivered_seq, holder, held_until, failures, next_try_at)
     VALUES ($1, $2, '', 0, 0, 0) ON CONFLICT (appid) DO NOTHING";

const PASS_OVER: &str = "UPDATE webhook SET delivered_seq = $3, batch_end = NULL
     WHERE appid = $1 AND delivered_seq = $2 AND (batch_end IS NULL OR batch_end = $3)";

/// Changes nothing if another replica has taken the lease since.
const FINISH: &str = "UPDATE webhook SET delivered_seq = $4, batch_end = NULL, held_until = 0,
         delivered_at = $5, failures = 0, next_try_at = 0
     WHERE appid = $1 AND holder = $2 AND delivered_seq = $3";

const FAIL: &str = "UPDATE webhook SET held_until = 0, failures = $4, failed_at = $5, failure = $6,
         failure_status = $7, next_try_at = $8
     WHERE appid = $1 AND holder = $2 AND delivered_seq = $3";

impl WebhookStore {
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    /// Reads the progress; none before the first start with a receiver. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(super) async fn progress(&self) -> Result<Option<Progress>, Error> {
        let query = sqlx::query(PROGRESS).bind(self.db.appid());
        self.db
            .read(ReadKind::Short, async {
                let found = query.fetch_optional(self.db.autocommit()).await?;
                found.as_ref().map(progress).transpose()
            })
            .await
    }

    /// Begins after this sequence number, unless there is a beginning.
    pub(super) async fn begin_after(&self, seq: u64) -> Result<(), Error> {
        self.db.execute(BeginAfter { seq }).await
    }

    /// Moves past a batch without an event. Returns whether this call did.
    pub(super) async fn pass_over(&self, batch: &EventBatch) -> Result<bool, Error> {
        let (after, end) = (batch.after, batch.end);
        self.db.execute(PassOver { after, end }).await
    }

    /// Takes the right to send a batch for at most `lease`, and stores its end, so that another
    /// replica would send the same. Returns whether it is granted: another may send, or have sent.
    pub(super) async fn lease_batch(
        &self,
        holder: &str,
        batch: &EventBatch,
        lease: Duration,
    ) -> Result<bool, Error> {
        let now = self.db.now_sql();
        let lease = LeaseBatch {
            sql: format!(
                "UPDATE webhook SET holder = $2, held_until = {now} + $5, batch_end = $4
                 WHERE appid = $1 AND delivered_seq = $3 AND (batch_end IS NULL OR batch_end = $4)
                   AND (holder = $2 OR held_until <= {now})"
            ),
            held: LeasedBatch::new(holder, batch),
            end: batch.end,
            lease,
        };
        self.db.execute(lease).await
    }

    /// Stores that a batch is delivered, and gives the lease back. Does nothing where another
    /// replica has taken it.
    pub(super) async fn finish(
        &self,
        holder: &str,
        batch: &EventBatch,
        at: Timestamp,
    ) -> Result<(), Error> {
        let finish = FinishBatch {
            held: LeasedBatch::new(holder, batch),
            end: batch.end,
            at,
        };
        self.db.execute(finish).await
    }

    /// Stores that an attempt failed, and gives the lease back. Does nothing where another replica
    /// has taken it.
    pub(super) async fn fail(
        &self,
        holder: &str,
        batch: &EventBatch,
        failed: FailureRecord,
    ) -> Result<(), Error> {
        let held = LeasedBatch::new(holder, batch);
        self.db.execute(FailBatch { held, failed }).await
    }
}

/// A batch that a replica has leased.
struct LeasedBatch {
    holder: String,
    after: u64,
}

impl LeasedBatch {
    fn new(holder: &str, batch: &EventBatch) -> Self {
        Self {
            holder: holder.to_owned(),
            after: batch.after,
        }
    }
}

struct BeginAfter {
    seq: u64,
}

impl Command for BeginAfter {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(BEGIN)
            .bind(write.appid())
            .bind(column(self.seq))
            .execute(write)
            .await?;
        Ok(())
    }
}

struct PassOver {
    after: u64,
    end: u64,
}

impl Command for PassOver {
    type Output = bool;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<bool, Error> {
        let passed = sqlx::query(PASS_OVER)
            .bind(write.appid())
            .bind(column(self.after))
            .bind(column(self.end))
            .execute(write)
            .await?;
        Ok(passed.rows_affected() == 1)
    }
}

struct LeaseBatch {
    sql: String,
    held: LeasedBatch,
    end: u64,
    lease: Duration,
}

impl Command for LeaseBatch {
    type Output = bool;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<bool, Error> {
        let leased = sqlx::query(AssertSqlSafe(self.sql.clone()))
            .bind(write.appid())
            .bind(&self.held.holder)
            .bind(column(self.held.after))
            .bind(column(self.end))
            .bind(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX))
            .execute(write)
            .await?;
        Ok(leased.rows_affected() == 1)
    }
}

struct FinishBatch {
    held: LeasedBatch,
    end: u64,
    at: Timestamp,
}

impl Command for FinishBatch {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(FINISH)
            .bind(write.appid())
            .bind(&self.held.holder)
            .bind(column(self.held.after))
            .bind(column(self.end))
            .bind(self.at.as_millisecond())
            .execute(write)
            .await?;
        Ok(())
    }
}

struct FailBatch {
    held: LeasedBatch,
    failed: FailureRecord,
}

impl Command for FailBatch {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        let FailureRecord {
            failure,
            failures,
            next_attempt_at,
        } = self.failed;
        sqlx::query(FAIL)
            .bind(write.appid())
            .bind(&self.held.holder)
            .bind(column(self.held.after))
            .bind(i64::from(failures))
            .bind(failure.at.as_millisecond())
            .bind(failure.reason.as_str())
            .bind(failure.reason.status().map(i64::from))
            .bind(next_attempt_at.as_millisecond())
            .execute(write)
            .await?;
        Ok(())
    }
}

fn column(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn progress(found: &AnyRow) -> Result<Progress, Error> {
    let batch_end: Option<i64> = found.try_get("batch_end")?;
    let delivered_at: Option<i64> = found.try_get("delivered_at")?;
    let failed_at: Option<i64> = found.try_get("failed_at")?;
    let failures: i64 = found.try_get("failures")?;
    Ok(Progress {
        delivered_seq: sequence_number(found.try_get("delivered_seq")?)?,
        batch_end: batch_end.map(sequence_number).transpose()?,
        delivered_at: delivered_at.map(row::instant).transpose()?,
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        last_failure: failed_at.map(|at| failure(found, at)).transpose()?,
        next_attempt_at: row::instant(found.try_get("next_try_at")?)?,
    })
}

fn failure(found: &AnyRow, at: i64) -> Result<AttemptFailure, Error> {
    let status: Option<i64> = found.try_get("failure_status")?;
    let status = status.and_then(|status| u16::try_from(status).ok());
    let name: String = found.try_get("failure")?;
    let reason = match (name.as_str(), status) {
        ("gone", _) => FailureReason::Gone,
        ("refused", Some(status)) => FailureReason::Refused(status),
        ("timeout", _) => FailureReason::Timeout,
        ("unreachable", _) => FailureReason::Unreachable,
        _ => return Err(Error::BadRow("a failure of a webhook")),
    };
    Ok(AttemptFailure {
        at: row::instant(at)?,
        reason,
    })
}

fn sequence_number(seq: i64) -> Result<u64, Error> {
    u64::try_from(seq).map_err(|_| Error::BadRow("a sequence number"))
}
