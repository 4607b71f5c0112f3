//! Why a database is not opened, and what its owner can do.

use sqlx::migrate::MigrateError;

use super::address_problem::AddressProblem;
use super::driver_error;
use super::files::FileProblem;
use super::server_refusal::ServerRefusal;
use super::url::DatabaseUrl;

/// Why a database is not opened. No message holds its URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("WXQR_DATABASE_URL cannot be used as an address")]
    Address(#[source] AddressProblem),
    /// The database was not reached for as long as the start waits.
    #[error("WXQR_DATABASE_URL: the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The file is damaged, or no database.
    #[error("WXQR_DATABASE_URL: the file is damaged or no SQLite database")]
    Damaged(#[source] sqlx::Error),
    /// The file cannot be read and written.
    #[error("WXQR_DATABASE_URL: {0}")]
    File(FileProblem),
    /// The server refuses, and will go on to.
    #[error("WXQR_DATABASE_URL: the database refuses: {1}")]
    Refused(ServerRefusal, String),
    /// There are no tables, and the user may not create them.
    #[error("WXQR_DATABASE_URL: this user may not create tables")]
    NotPermitted,
    /// The database belongs to another program.
    #[error("WXQR_DATABASE_URL: the database holds another program's tables")]
    Foreign,
    /// The database belongs to another WeChat.
    #[error("WXQR_DATABASE_URL: the database holds codes of {held}, but WXQR_API_BASE is {asked}")]
    OtherUpstream {
        /// The WeChat of the codes in the database.
        held: String,
        /// The WeChat that is configured.
        asked: String,
    },
    /// A feature refuses the database.
    #[error("{problem}")]
    Feature {
        /// The whole message, which names the setting.
        problem: &'static str,
        /// What the owner can do about it.
        action: &'static str,
    },
    /// The tables have had a migration that this version does not know.
    #[error("WXQR_DATABASE_URL: the tables are of a newer version (migration {0})")]
    Newer(i64),
    #[error("WXQR_DATABASE_URL: the tables cannot be migrated")]
    Migration(#[source] MigrateError),
}

impl OpenError {
    /// Whether another try may help.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Migration(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
        )
    }

    /// Whether the owner has to change the settings, rather than to wait or to repair.
    pub fn is_configuration(&self) -> bool {
        !self.is_transient()
    }

    /// Returns the permanent problem behind this one, where there is one.
    pub(super) fn or_permanent(self, url: &DatabaseUrl) -> Self {
        let (Self::Unreachable(cause)
        | Self::Migration(
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _),
        )) = &self
        else {
            return self;
        };
        match (url.file(), ServerRefusal::of(cause)) {
            (Some(file), _) if driver_error::is_file_error(cause) => {
                Self::File(FileProblem::explain(file, cause))
            }
            (None, Some(refusal)) => Self::Refused(refusal, cause.to_string()),
            _ => self,
        }
    }

    /// What the owner can do about it.
    pub fn action(&self) -> String {
        let action = match self {
            Self::File(problem) => return problem.action(),
            Self::Refused(refusal, _) => refusal.action(),
            Self::Feature { action, .. } => action,
            Self::Address(_) => {
                "write it as sqlite://FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE"
            }
            Self::Unreachable(_) => {
                "check that the address is right, that the database runs, and that this user may write to it"
            }
            Self::NotPermitted => "let this user own the database",
            Self::Damaged(_) => "move it away or restore a backup",
            Self::Foreign => "give the service one of its own",
            Self::OtherUpstream { .. } => "give each its own database",
            Self::Newer(_) => {
                "run the version that created them, or a newer one; to go back, restore a copy of the database from before the upgrade"
            }
            Self::Migration(_) if self.is_transient() => {
                "check that this user may create tables, and check the log of the database"
            }
            Self::Migration(_) => {
                "run the version that created the tables: this one has other migrations"
            }
        };
        action.to_owned()
    }
}

/// Classifies an error of the driver.
pub(crate) fn classify(error: sqlx::Error) -> OpenError {
    let error = driver_error::without_source_line(error);
    if let sqlx::Error::Configuration(cause) = &error {
        OpenError::Address(AddressProblem::new(&**cause))
    } else if driver_error::is_damage(&error) {
        OpenError::Damaged(error)
    } else {
        OpenError::Unreachable(error)
    }
}
