//! The key that names persons: in the database, or with the settings, where no backup of the database has it.
//!
//! Another key would give every follower another name, and count all of them anew. So a key from outside is compared with the one in
//! the database, or with the fingerprint of the one that was there.

use sqlx::{AnyConnection, Row};

use super::Store;
use super::opening::{OpenError, classify};
use super::turns::Purpose;
use crate::tally::PersonKey;
use crate::telemetry::Causes;

/// Under which name the table `about` has the key.
const KEY: &str = "person_key";

/// Under which name it has the fingerprint of a key from outside.
const FINGERPRINT: &str = "person_key_fingerprint";

/// What to do about another key than the one in the database.
pub(super) const USE_THE_HELD_ONE: &str = "give every replica the key in the database, which this statement reads: `SELECT value FROM about WHERE name = 'person_key'`; or leave WXQR_PERSON_KEY out";

/// What to do where the database has the fingerprint only, and the key is missing or another.
pub(super) const FIND_IT_OR_BEGIN_ANEW: &str = "give every replica the key of before; if it is lost, stop all replicas and run `DELETE FROM about WHERE name = 'person_key_fingerprint'` in the database: the next start takes any key, and every follower counts as new";

/// The key to go on with. Without one from outside, the first process makes one and leaves it in the database.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    given: Option<&PersonKey>,
) -> Result<PersonKey, OpenError> {
    let held = read(connection, KEY).await.map_err(classify)?;
    let held = held.as_deref().map(parsed).transpose()?;
    match (given, held) {
        (None, Some(held)) => Ok(held),
        (Some(given), Some(held)) if given.fingerprint() == held.fingerprint() => Ok(held),
        (Some(_), Some(_)) => Err(OpenError::OtherPersonKey { is_held: true }),
        (given, None) => settle_without(connection, given).await.map_err(classify)?,
    }
}

/// The same where the database has no key.
async fn settle_without(
    connection: &mut AnyConnection,
    given: Option<&PersonKey>,
) -> Result<Result<PersonKey, OpenError>, sqlx::Error> {
    let fingerprint = read(connection, FINGERPRINT).await?;
    match (given, fingerprint) {
        (None, Some(_)) => Ok(Err(OpenError::NoPersonKey)),
        (None, None) => {
            let made = PersonKey::random();
            write(connection, KEY, &made.to_text()).await?;
            Ok(Ok(made))
        }
        (Some(given), None) => {
            write(connection, FINGERPRINT, &given.fingerprint()).await?;
            Ok(Ok(given.clone()))
        }
        (Some(given), Some(fingerprint)) if given.fingerprint() == fingerprint => {
            Ok(Ok(given.clone()))
        }
        (Some(_), Some(_)) => Ok(Err(OpenError::OtherPersonKey { is_held: false })),
    }
}

fn parsed(held: &str) -> Result<PersonKey, OpenError> {
    held.parse().map_err(|_| {
        let found = "the key that names persons cannot be read".to_owned();
        OpenError::Damaged(sqlx::Error::Protocol(found))
    })
}

async fn read(connection: &mut AnyConnection, name: &str) -> Result<Option<String>, sqlx::Error> {
    let found = sqlx::query("SELECT value FROM about WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    found.map(|row| row.try_get(0)).transpose()
}

async fn write(connection: &mut AnyConnection, name: &str, value: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO about (name, value) VALUES ($1, $2)")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Removes the key from the database once it comes from outside, and leaves its fingerprint. A failure is logged: the next start
    /// tries again.
    pub(super) async fn drop_held_person_key(&self) {
        let dropped = self
            .engine
            .within_deadline(Purpose::Urgent, async {
                let mut write = self.engine.begin().await?;
                let dropped = sqlx::query("DELETE FROM about WHERE name = $1")
                    .bind(KEY)
                    .execute(&mut write)
                    .await?;
                if dropped.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(
                    "INSERT INTO about (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                )
                .bind(FINGERPRINT)
                .bind(self.person_key.fingerprint())
                .execute(&mut write)
                .await?;
                self.engine.note_erasure();
                write.commit().await?;
                Ok(true)
            })
            .await;
        match dropped {
            Ok(true) => tracing::info!(
                "the key of pseudonyms comes from WXQR_PERSON_KEY, and was removed from the database"
            ),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                error = %Causes(&error),
                "the key of pseudonyms could not be removed from the database: the next start tries again"
            ),
        }
    }
}
