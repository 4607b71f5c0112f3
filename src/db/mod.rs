//! One account's database: SQLite or PostgreSQL, by nearly the same SQL.
//!
//! Read [`Database`] first. Reads have a connection pool with admission control; all writes are
//! commands, which one task commits in groups. Every call has a deadline, and all share one health
//! state. It must not know any feature: the SQL of each is in that feature's `sql`.

mod adaptive_size;
mod address_problem;
mod admission;
mod autocommit;
mod backup;
mod clocks;
mod command;
mod connections;
mod copy;
mod database;
mod driver_error;
mod error;
mod files;
mod group;
mod health;
mod integrity;
mod key_lookup;
mod limits;
mod literals;
mod new_file;
mod open_error;
mod opening;
mod pipeline;
pub(crate) mod placeholders;
mod pool;
mod queues;
pub(crate) mod row;
mod schema;
mod server_refusal;
mod statement;
mod transaction;
mod url;
mod write_connection;
mod writer;

pub use self::address_problem::AddressProblem;
pub use self::backup::BackupError;
pub use self::clocks::ClockDifference;
pub use self::copy::{CopiedTable, CopyError, CopySide, TableDigest};
pub use self::database::Database;
pub use self::error::Error;
pub use self::files::{ExposedFile, FileProblem};
pub use self::integrity::Damage;
pub use self::limits::{ACQUIRE_TIMEOUT, DEADLINE, LONG_READ_DEADLINE, WRITE_TIMEOUT};
pub use self::new_file::NewFileError;
pub use self::open_error::OpenError;
pub(crate) use self::opening::MigrationConnection;
pub use self::opening::UpstreamIdentity;
pub use self::schema::SchemaState;
pub use self::server_refusal::ServerRefusal;

pub(crate) use self::admission::ReadKind;
pub(crate) use self::command::{BatchCommand, Command, Purge, Urgency};
pub(crate) use self::key_lookup::KeyLookup;
pub(crate) use self::limits::READ_CONNECTIONS;
pub(crate) use self::open_error::classify;
pub(crate) use self::statement::Query;
pub(crate) use self::transaction::Transaction;
