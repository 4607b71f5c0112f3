//! Where a database is, and how many connections it bears.

/// Connections of one process. SQLite has one writer at a time, and PostgreSQL serves several replicas.
const CONNECTIONS: u32 = 8;

/// The two kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// Where a database is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dialect: Dialect,
    pub(super) url: String,
    pub(super) in_memory: bool,
}

impl Place {
    pub(super) fn of(url: &str) -> Self {
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        let (dialect, url) = if !url.starts_with("sqlite:") {
            (Dialect::Postgres, url.to_owned())
        } else if in_memory || url.contains("mode=") {
            (Dialect::Sqlite, url.to_owned())
        } else {
            // SQLite makes the file if it is not there.
            (Dialect::Sqlite, with_parameter(url, "mode=rwc"))
        };
        Self {
            dialect,
            url,
            in_memory,
        }
    }

    /// A database in memory belongs to its one connection.
    pub(super) fn connections(&self) -> u32 {
        if self.in_memory { 1 } else { CONNECTIONS }
    }

    /// How many are kept open. A handshake with PostgreSQL takes longer than a call should, above all in a crowd; a file is
    /// opened in no time.
    pub(super) fn idle_connections(&self) -> u32 {
        match self.dialect {
            Dialect::Sqlite => 0,
            Dialect::Postgres => self.connections(),
        }
    }

    /// How to look at a file without leaving a trace in it.
    pub(super) fn only_reading(&self) -> Option<String> {
        if self.dialect != Dialect::Sqlite || self.in_memory {
            return None;
        }
        let (file, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let kept = query.split('&').filter(|pair| !pair.starts_with("mode="));
        let pairs: Vec<_> = kept.chain(["mode=ro"]).filter(|p| !p.is_empty()).collect();
        Some(format!("{file}?{}", pairs.join("&")))
    }
}

fn with_parameter(url: &str, pair: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{pair}")
}
