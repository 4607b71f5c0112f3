//! Refusals of a database server that last until its owner changes something.

use std::io;

use super::driver_error::DriverErrorCode;

/// Why a server refuses, and will go on to until its owner changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRefusal {
    NoDatabase,
    /// Not this user, not with this password, or not from here.
    NotThisUser,
    /// One side demands TLS and the other has none, or a certificate that is not trusted.
    Tls,
    /// The user may not do what the service needs.
    NotPermitted,
    /// A pooler in between does not know what the driver asks of a new connection.
    StartupParameter,
    /// A pooler in between lends a connection for one statement, and the service needs
    /// transactions.
    StatementPooling,
    /// A pooler in between does not know the database, or cannot use its own configuration for it.
    PoolerConfiguration,
}

impl ServerRefusal {
    pub(super) fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Tls(_) => Some(Self::Tls),
            // What the TLS library says comes as this.
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Some(Self::Tls),
            sqlx::Error::Database(error) => match DriverErrorCode::of(&**error)? {
                DriverErrorCode::Postgres(state) => Self::of_state(&state, error.message()),
                DriverErrorCode::Sqlite(_) => None,
            },
            _ => None,
        }
    }

    /// Classifies by SQLSTATE. PgBouncer has one for nearly everything, and its messages are always
    /// English.
    fn of_state(state: &str, message: &str) -> Option<Self> {
        match state {
            "3D000" => Some(Self::NoDatabase),
            "28000" | "28P01" => Some(Self::NotThisUser),
            "42501" | "3F000" => Some(Self::NotPermitted),
            "08P01" => Self::of_pooler(message),
            _ => None,
        }
    }

    /// Classifies by PgBouncer's message, or by that of the server that it passes on under its own
    /// SQLSTATE.
    fn of_pooler(message: &str) -> Option<Self> {
        let says = |part| message.contains(part);
        let is_absent = |what| says(what) && says("does not exist");
        if says("unsupported startup parameter") {
            Some(Self::StartupParameter)
        } else if says("in statement pooling mode") {
            Some(Self::StatementPooling)
        } else if says("bouncer config error") {
            Some(Self::PoolerConfiguration)
        } else if says("no such database") || is_absent("database \"") {
            Some(Self::NoDatabase)
        } else if says("authentication failed")
            || says("no such user")
            || says("no pg_hba.conf entry")
            || is_absent("role \"")
        {
            Some(Self::NotThisUser)
        } else {
            None
        }
    }

    /// What the owner can do about it.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::NoDatabase => "create the database, or name another one in the address",
            Self::NotThisUser => {
                "check user and password in the address, and that the server's pg_hba.conf lets this user in from here, with TLS where it asks for that"
            }
            Self::Tls => {
                "let the server speak TLS with a certificate that the address's sslrootcert trusts, or change the address's sslmode"
            }
            Self::NotPermitted => "let this user own the database",
            Self::StartupParameter => {
                "put ignore_startup_parameters = extra_float_digits into PgBouncer's configuration"
            }
            Self::StatementPooling => {
                "set pool_mode = transaction in PgBouncer's configuration, for this database"
            }
            Self::PoolerConfiguration => {
                "check that the [databases] of PgBouncer's configuration have the database that the address names, and look at its log"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_refusals_are_distinguished_from_transient_ones() {
        for (state, message, want) in [
            ("3D000", "", Some(ServerRefusal::NoDatabase)),
            ("28000", "", Some(ServerRefusal::NotThisUser)),
            ("28P01", "", Some(ServerRefusal::NotThisUser)),
            ("42501", "", Some(ServerRefusal::NotPermitted)),
            (
                "08P01",
                "unsupported startup parameter: extra_float_digits",
                Some(ServerRefusal::StartupParameter),
            ),
            (
                "08P01",
                "no such database: x",
                Some(ServerRefusal::NoDatabase),
            ),
            (
                "08P01",
                "SASL authentication failed",
                Some(ServerRefusal::NotThisUser),
            ),
            (
                "08P01",
                "database \"x\" does not exist",
                Some(ServerRefusal::NoDatabase),
            ),
            (
                "08P01",
                "server login has been failing, cached error: database \"x\" does not exist (server_login_retry)",
                Some(ServerRefusal::NoDatabase),
            ),
            (
                "08P01",
                "role \"x\" does not exist",
                Some(ServerRefusal::NotThisUser),
            ),
            (
                "08P01",
                "no pg_hba.conf entry for host \"127.0.0.1\"",
                Some(ServerRefusal::NotThisUser),
            ),
            (
                "08P01",
                "transaction blocks not allowed in statement pooling mode",
                Some(ServerRefusal::StatementPooling),
            ),
            (
                "08P01",
                "bouncer config error",
                Some(ServerRefusal::PoolerConfiguration),
            ),
            ("08P01", "client_login_timeout (server down)", None),
            ("08P01", "pgbouncer cannot connect to server", None),
            (
                "08P01",
                "server login has been failing, try again later",
                None,
            ),
            ("57P03", "the database system is starting up", None),
            ("53300", "too many connections", None),
            ("25006", "read-only", None),
        ] {
            let got = ServerRefusal::of_state(state, message);
            assert_eq!(got, want, "{state} {message}");
        }
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into()),
            sqlx::Error::Io(io::ErrorKind::TimedOut.into()),
            sqlx::Error::Io(io::ErrorKind::UnexpectedEof.into()),
        ] {
            assert_eq!(ServerRefusal::of(&error), None, "{error}");
        }
    }
}
