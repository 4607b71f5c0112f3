//! The permanent ledger, with write-ahead intents. WeChat gives an account 100 000 permanent codes
//! for its life and deletes none, so an intent is written before the call and counts from then on,
//! and a result is written before the answer.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::columns;
use super::store::CodeStore;
use crate::db::{Error, Purpose, Transaction, row};

/// How long the outcome of a mint stays unknown before another caller may repeat it. Twice what a
/// mint may take.
pub const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// How often a mint of unknown outcome may be repeated. Each may have consumed stock.
const MOST_REPEATS: i64 = 3;

/// Has an index: it runs every few seconds, and temporary codes may be millions.
const COUNT_UNKNOWN: &str = "SELECT COUNT(*) FROM code WHERE appid = $1 AND ticket IS NULL";

/// The result of a reservation.
#[derive(Debug)]
pub enum Reservation {
    /// The call may be made: the intent is written and counted.
    Granted(Intent),
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

/// The right to make one call. Its outcome is recorded with
/// [`CodeStore::confirm`] or [`CodeStore::withdraw`]; an intent that is dropped stays in the ledger
/// and counts.
#[derive(Debug)]
pub struct Intent {
    scene: Scene,
    /// When it was written: a later one of the scene has another time.
    since: Timestamp,
    /// Whether an earlier call of unknown outcome was made for it.
    repeated: bool,
}

impl Intent {
    /// What the code is to carry.
    pub fn scene(&self) -> &Scene {
        &self.scene
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
    /// Asks to mint a permanent code. At most `limit` codes and intents are counted.
    ///
    /// # Errors
    /// When the store cannot be used: then nothing was reserved, or an intent without a call stays
    /// and counts.
    pub async fn reserve(&self, scene: &PermanentScene, limit: u64) -> Result<Reservation, Error> {
        let scene = Scene::Permanent(scene.clone());
        let now = self.db.now();
        self.db
            .within_deadline(Purpose::Write, async {
                let mut write = self.db.begin().await?;
                // The intent before the stock, here as in `write_code`: who comes second waits for
                // the first one's intent and then finds it, and no two transactions wait for each
                // other.
                if !self.write_intent(&mut write, &scene, now).await? {
                    let found = self.intent_or_code(&mut write, &scene).await?;
                    let reservation = self.take_over(&mut write, scene, found, now).await?;
                    write.commit().await?;
                    return Ok(reservation);
                }
                if !self.take_stock(&mut write, limit).await? {
                    return Ok(Reservation::Exhausted);
                }
                write.commit().await?;
                Ok(Reservation::Granted(Intent {
                    scene,
                    since: now,
                    repeated: false,
                }))
            })
            .await
    }

    pub(super) async fn intent_or_code(
        &self,
        write: &mut Transaction,
        scene: &Scene,
    ) -> Result<Option<Found>, Error> {
        let found = sqlx::query(
            "SELECT ticket, url, minted_at, asked, granted, attempts FROM code
             WHERE appid = $1 AND kind = $2 AND scene = $3",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .fetch_optional(&mut *write)
        .await?;
        let Some(found) = found else { return Ok(None) };
        Ok(Some(match columns::code(&found)? {
            Some(code) => Found::Code(Box::new(code)),
            None => Found::Intent {
                since: row::instant(found.try_get("minted_at")?)?,
                attempts: found.try_get("attempts")?,
            },
        }))
    }

    /// Takes over an intent of unknown outcome after a while: one caller, a few times.
    async fn take_over(
        &self,
        write: &mut Transaction,
        scene: Scene,
        found: Option<Found>,
        now: Timestamp,
    ) -> Result<Reservation, Error> {
        let (since, attempts) = match found {
            Some(Found::Code(code)) => return Ok(Reservation::Exists(code)),
            Some(Found::Intent { since, attempts }) => (since, attempts),
            // It was withdrawn between our write and our look. The next try may have it.
            None => (now, 0),
        };
        let wait = Duration::try_from(now.duration_until(since + REPEAT_AFTER)).unwrap_or_default();
        if !wait.is_zero() {
            return Ok(Reservation::Pending {
                retry_after: Some(wait),
            });
        }
        if attempts > MOST_REPEATS {
            return Ok(Reservation::Pending { retry_after: None });
        }
        let taken = sqlx::query(
            "UPDATE code SET minted_at = $4, attempts = attempts + 1
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $5",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(&scene))
        .bind(now.as_millisecond())
        .bind(since.as_millisecond())
        .execute(&mut *write)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(Reservation::Granted(Intent {
                scene,
                since: now,
                repeated: true,
            }));
        }
        Ok(Reservation::Pending {
            retry_after: Some(REPEAT_AFTER),
        })
    }

    /// Counts one code more, if the limit allows it.
    async fn take_stock(&self, write: &mut Transaction, limit: u64) -> Result<bool, Error> {
        sqlx::query(
            "INSERT INTO stock (appid, used) VALUES ($1, 0) ON CONFLICT (appid) DO NOTHING",
        )
        .bind(self.db.appid())
        .execute(&mut *write)
        .await?;
        let taken = sqlx::query("UPDATE stock SET used = used + 1 WHERE appid = $1 AND used < $2")
            .bind(self.db.appid())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .execute(&mut *write)
            .await?;
        Ok(taken.rows_affected() == 1)
    }

    async fn write_intent(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let written = sqlx::query(
            "INSERT INTO code (appid, kind, scene, minted_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, kind, scene) DO NOTHING",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .bind(now.as_millisecond())
        .execute(&mut *write)
        .await?;
        Ok(written.rows_affected() == 1)
    }

    /// Writes the result of a mint. The first one that is stored wins, and it is what comes back.
    ///
    /// # Errors
    /// When the store cannot be used. The code exists at WeChat then, so the call is to be repeated
    /// until it succeeds.
    pub async fn confirm(&self, intent: &Intent, code: &IssuedCode) -> Result<IssuedCode, Error> {
        self.db
            .within_deadline(Purpose::HighPriority, async {
                let mut write = self.db.begin().await?;
                let is_first = self.write_result(&mut write, &intent.scene, code).await?;
                write.commit().await?;
                if is_first {
                    return Ok(code.clone());
                }
                // Another result was first, or the intent is gone, as after a restore.
                self.record(&intent.scene, code).await
            })
            .await
    }

    /// Stores a code that exists, and counts it unless its intent is counted; the first one that is
    /// stored wins, and is what comes back. Within an admitted call.
    async fn record(&self, scene: &Scene, code: &IssuedCode) -> Result<IssuedCode, Error> {
        loop {
            let mut write = self.db.begin().await?;
            let is_new = self.write_code(&mut write, scene, code).await?;
            write.commit().await?;
            if is_new {
                return Ok(code.clone());
            }
            if let Some(first) = self.read(scene).await? {
                return Ok(first);
            }
            // There was an intent, and it was withdrawn before our result came to it.
        }
    }

    /// Stores a code that exists, and counts it unless its intent is counted. Says whether it is
    /// the first of its scene.
    pub(super) async fn write_code(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        code: &IssuedCode,
    ) -> Result<bool, Error> {
        if self.write_intent(write, scene, self.db.now()).await? {
            self.take_stock(write, u64::MAX).await?;
        }
        self.write_result(write, scene, code).await
    }

    /// Stores a code where there is an intent. Its ticket is remembered even if another result was
    /// first: it carries the same scene.
    async fn write_result(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        code: &IssuedCode,
    ) -> Result<bool, Error> {
        let written = sqlx::query(
            "UPDATE code SET ticket = $4, url = $5, url_key = $6
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .bind(code.ticket.as_str())
        .bind(code.url.as_str())
        .bind(code.url.key())
        .execute(&mut *write)
        .await?;
        self.remember_ticket(write, scene, code).await?;
        Ok(written.rows_affected() == 1)
    }

    /// Takes an intent back, because the call certainly made no code. After a repeat it stays,
    /// because the call before it may have made one, and only the repeat is not counted.
    ///
    /// # Errors
    /// When the store cannot be used: the intent stays and counts.
    pub async fn withdraw(&self, intent: &Intent) -> Result<(), Error> {
        if intent.repeated {
            return self.uncount_repeat(intent).await;
        }
        self.db
            .within_deadline(Purpose::HighPriority, async {
                let mut write = self.db.begin().await?;
                let removed = sqlx::query(
                    "DELETE FROM code
                     WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4",
                )
                .bind(self.db.appid())
                .bind(intent.scene.kind().action_name())
                .bind(columns::scene_text(&intent.scene))
                .bind(intent.since.as_millisecond())
                .execute(&mut write)
                .await?;
                if removed.rows_affected() == 1 {
                    sqlx::query("UPDATE stock SET used = used - 1 WHERE appid = $1")
                        .bind(self.db.appid())
                        .execute(&mut write)
                        .await?;
                }
                write.commit().await?;
                Ok(())
            })
            .await
    }

    async fn uncount_repeat(&self, intent: &Intent) -> Result<(), Error> {
        let query = sqlx::query(
            "UPDATE code SET attempts = attempts - 1
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4",
        )
        .bind(self.db.appid())
        .bind(intent.scene.kind().action_name())
        .bind(columns::scene_text(&intent.scene))
        .bind(intent.since.as_millisecond());
        self.db
            .within_deadline(Purpose::HighPriority, async {
                query.execute(self.db.autocommit()).await?;
                Ok(())
            })
            .await
    }

    /// How much of the stock is used.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn stock(&self) -> Result<Stock, Error> {
        let used = sqlx::query("SELECT used FROM stock WHERE appid = $1").bind(self.db.appid());
        let unknown = sqlx::query(COUNT_UNKNOWN).bind(self.db.appid());
        self.db
            .within_deadline(Purpose::Read, async {
                let used: i64 = match used.fetch_optional(self.db.autocommit()).await? {
                    Some(row) => row.try_get(0)?,
                    None => 0,
                };
                let unknown: i64 = unknown.fetch_one(self.db.autocommit()).await?.try_get(0)?;
                let count = |number: i64| u64::try_from(number).unwrap_or(0);
                Ok(Stock {
                    used: count(used),
                    unknown: count(unknown),
                })
            })
            .await
    }
}

/// What the ledger holds under a scene.
pub(super) enum Found {
    Code(Box<IssuedCode>),
    Intent { since: Timestamp, attempts: i64 },
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use wechat::ticket::Life;

    use super::*;
    use crate::clock::SystemClock;

    fn code() -> IssuedCode {
        IssuedCode {
            ticket: "ticket".parse().unwrap(),
            url: "http://weixin.qq.com/q/1".parse().unwrap(),
            life: Life::Permanent,
        }
    }

    #[tokio::test]
    async fn mints_of_unknown_outcome_are_counted_by_themselves() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(COUNT_UNKNOWN.to_owned()).await;
        assert!(plan[0].contains("code_of_unknown_outcome"), "{plan:?}");
    }

    #[tokio::test]
    async fn a_result_is_written_before_a_crowd_that_came_first() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let scene = PermanentScene::Text("poster".parse().unwrap());
        let Reservation::Granted(intent) = store.reserve(&scene, 1).await.unwrap() else {
            unreachable!("the stock is whole");
        };
        let given_up = AtomicUsize::new(0);
        let crowd = join_all((0..200).map(|n| {
            let purpose = [Purpose::Read, Purpose::Write][n % 2];
            let slow = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(())
            };
            let call = store.db.within_deadline(purpose, slow);
            call.map(|result| match result {
                Err(Error::Busy) => given_up.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            })
        }));
        let confirm = async {
            // They all came first.
            tokio::task::yield_now().await;
            let kept = store.confirm(&intent, &code()).await.unwrap();
            assert_eq!(kept.ticket.as_str(), "ticket");
            assert_eq!(given_up.load(Ordering::Relaxed), 0, "it waited for them");
        };
        tokio::join!(crowd, confirm);
        let given_up = given_up.into_inner();
        assert!(given_up > 0, "nobody waits for ever");
        assert!(store.is_up(), "a crowd is no fault of the database");
    }
}
