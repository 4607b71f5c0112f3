//! Whether two connections lead to one database of PostgreSQL, however their addresses spell it.

use sqlx::{AnyConnection, Executor as _, Row as _};

/// The number that `initdb` gave the cluster, and that of the database in it.
const IDENTITY: &str =
    "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid::text
     FROM pg_database WHERE datname = current_database()";

/// Compares both sides. A server that does not say what it is counts as another one: then the
/// copy ends at the lock or at the tables that are there.
pub(super) async fn are_same(one: &mut AnyConnection, other: &mut AnyConnection) -> bool {
    match (of(one).await, of(other).await) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

async fn of(connection: &mut AnyConnection) -> Result<String, sqlx::Error> {
    connection.fetch_one(IDENTITY).await?.try_get(0)
}
