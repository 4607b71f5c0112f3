//! The person key, which makes pseudonyms: in the database, or with the settings, where no backup
//! of the database has it.
//!
//! Another key would give every follower another pseudonym, and count all of them anew. So a key
//! from outside is compared with the one in the database, or with the fingerprint of the one that
//! was there.

use sqlx::{AnyConnection, Row};

use super::store::EventStore;
use crate::db::{Command, Database, Error, OpenError, Transaction, Urgency, classify};
use crate::statistics::privacy::PersonKey;
use crate::telemetry::Causes;

/// Under which name the table `about` has the key.
const KEY: &str = "person_key";

/// Under which name it has the fingerprint of a key from outside.
const FINGERPRINT: &str = "person_key_fingerprint";

/// What to do about another key than the one in the database.
const USE_THE_HELD_ONE: &str = "give every replica the key in the database, which this statement reads: `SELECT value FROM about WHERE name = 'person_key'`; or leave WXQR_PERSON_KEY out";

/// What to do where the database has the fingerprint only, and the key is missing or another.
const FIND_IT_OR_BEGIN_ANEW: &str = "give every replica the previous key; if it is lost, stop all replicas and run `DELETE FROM about WHERE name = 'person_key_fingerprint'` in the database: the next start takes any key, and every follower counts as new";

const OTHER_KEY_PROBLEM: &str = "WXQR_PERSON_KEY is not the key of the pseudonyms in this database";

/// The database has a key, and it is not the given one.
const OTHER_KEY_IS_HELD: OpenError = OpenError::Feature {
    problem: OTHER_KEY_PROBLEM,
    action: USE_THE_HELD_ONE,
};

/// The database has the fingerprint of a key, and it is not the given one's.
const OTHER_KEY: OpenError = OpenError::Feature {
    problem: OTHER_KEY_PROBLEM,
    action: FIND_IT_OR_BEGIN_ANEW,
};

/// The database has the fingerprint of a key, and none is given.
const KEY_IS_MISSING: OpenError = OpenError::Feature {
    problem: "WXQR_PERSON_KEY is missing: the pseudonyms in this database were made with it",
    action: FIND_IT_OR_BEGIN_ANEW,
};

/// Decides on the person key. Without one from outside, the first process makes one and leaves it
/// in the database.
pub(crate) async fn settle(
    connection: &mut AnyConnection,
    given: Option<PersonKey>,
) -> Result<PersonKey, OpenError> {
    let held = read(connection, KEY).await.map_err(classify)?;
    let held = held.as_deref().map(parsed).transpose()?;
    match (given, held) {
        (None, Some(held)) => Ok(held),
        (Some(given), Some(held)) if given.fingerprint() == held.fingerprint() => Ok(held),
        (Some(_), Some(_)) => Err(OTHER_KEY_IS_HELD),
        (given, None) => settle_without(connection, given).await,
    }
}

/// Uses the given key where the database has none.
async fn settle_without(
    connection: &mut AnyConnection,
    given: Option<PersonKey>,
) -> Result<PersonKey, OpenError> {
    let fingerprint = read(connection, FINGERPRINT).await.map_err(classify)?;
    match (given, fingerprint) {
        (None, Some(_)) => Err(KEY_IS_MISSING),
        (None, None) => {
            let made = PersonKey::random();
            let written = write(connection, KEY, &made.to_text()).await;
            written.map_err(classify)?;
            Ok(made)
        }
        (Some(given), None) => {
            let written = write(connection, FINGERPRINT, &given.fingerprint()).await;
            written.map_err(classify)?;
            Ok(given)
        }
        (Some(given), Some(fingerprint)) if given.fingerprint() == fingerprint => Ok(given),
        (Some(_), Some(_)) => Err(OTHER_KEY),
    }
}

fn parsed(held: &str) -> Result<PersonKey, OpenError> {
    held.parse().map_err(|_| {
        let found = "the key of pseudonyms cannot be read".to_owned();
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

impl EventStore {
    /// Removes the key from the database once it comes from outside, and leaves its fingerprint. A
    /// failure is logged: the next start tries again.
    pub(crate) async fn drop_held_key(&self) {
        let drop = DropHeldKey {
            db: self.db.clone(),
            fingerprint: self.person_key.fingerprint(),
        };
        let dropped = self.db.execute(drop).await;
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

struct DropHeldKey {
    db: Database,
    fingerprint: String,
}

impl Command for DropHeldKey {
    /// Whether there was a key.
    type Output = bool;

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<bool, Error> {
        let dropped = sqlx::query("DELETE FROM about WHERE name = $1")
            .bind(KEY)
            .execute(&mut *write)
            .await?;
        if dropped.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO about (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(FINGERPRINT)
        .bind(&self.fingerprint)
        .execute(write)
        .await?;
        self.db.mark_erased();
        Ok(true)
    }
}
