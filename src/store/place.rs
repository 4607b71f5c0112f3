//! Where a database is, and how many connections it bears.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

/// Connections of one process. SQLite has one writer at a time, and PostgreSQL serves several replicas.
const CONNECTIONS: u32 = 8;

/// The two kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where a database is. Its address may hold a password.
pub(super) struct Place {
    url: String,
    kind: Kind,
}

/// What is at an address.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    File(DatabaseFile),
    Server,
}

/// SQLite's file, as the address describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    /// Whether it is made if it is not there.
    pub(super) is_made: bool,
    /// The parameter that forbids writing.
    pub(super) read_only_by: Option<&'static str>,
}

impl Place {
    /// By an address that the settings allow: `sqlite:` with a file or `:memory:` and perhaps parameters, else PostgreSQL's.
    pub(super) fn of(url: &str) -> Self {
        if !url.starts_with("sqlite:") {
            let (url, kind) = (url.to_owned(), Kind::Server);
            return Self { url, kind };
        }
        // As the driver will read it, which resolves `..` for one.
        let url = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
        let place = url.strip_prefix("sqlite:").unwrap_or(&url);
        let (file, query) = place.split_once('?').unwrap_or((place, ""));
        let file = file.strip_prefix("//").unwrap_or(file);
        let values = |of: &'static str| {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.filter_map(move |(name, value)| (name == of).then_some(value))
        };
        let modes: Vec<_> = values("mode").collect();
        let read_only_by = if modes.iter().any(|mode| mode == "ro") {
            Some("mode=ro")
        } else if matches!(values("immutable").last().as_deref(), Some("true" | "1")) {
            Some("immutable=true")
        } else {
            None
        };
        let kind = if file == ":memory:" || modes.iter().any(|mode| mode == "memory") {
            Kind::Memory
        } else {
            let decoded = percent_decode_str(file).decode_utf8_lossy();
            Kind::File(DatabaseFile {
                path: decoded.into_owned().into(),
                is_made: modes.is_empty() || modes.iter().any(|mode| mode == "rwc"),
                read_only_by,
            })
        };
        let url = match kind {
            Kind::File(_) if modes.is_empty() => with_mode(&url, "rwc"),
            _ => url.clone(),
        };
        Self { url, kind }
    }

    /// The address; with SQLite one that makes the file if it is not there, unless it says otherwise itself.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Memory | Kind::File(_) => Dialect::Sqlite,
            Kind::Server => Dialect::Postgres,
        }
    }

    pub(super) fn is_memory(&self) -> bool {
        self.kind == Kind::Memory
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// SQLite's file.
    pub(super) fn file(&self) -> Option<&DatabaseFile> {
        match &self.kind {
            Kind::File(file) => Some(file),
            Kind::Memory | Kind::Server => None,
        }
    }

    /// SQLite's file, where it is not there yet and an opening makes it.
    pub(super) fn is_new_file(&self) -> bool {
        self.file()
            .is_some_and(|file| file.is_made && file.path.try_exists().is_ok_and(|there| !there))
    }

    /// A database in memory belongs to its one connection.
    pub(super) fn connections(&self) -> u32 {
        if self.is_memory() { 1 } else { CONNECTIONS }
    }

    /// How many are kept open. A handshake with PostgreSQL takes longer than a call should, above all in a crowd; a file is
    /// opened in no time.
    pub(super) fn idle_connections(&self) -> u32 {
        match self.dialect() {
            Dialect::Sqlite => 0,
            Dialect::Postgres => self.connections(),
        }
    }

    /// How to look at a file without leaving a trace in it.
    pub(super) fn only_reading(&self) -> Option<String> {
        self.is_file().then(|| with_mode(&self.url, "ro"))
    }
}

/// The address with this mode instead of its own.
fn with_mode(url: &str, mode: &str) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "mode");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair("mode", mode)
        .finish();
    format!("{place}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_memory_by_path_and_mode_alone() {
        let described = |path: &str, is_made, read_only_by| {
            Kind::File(DatabaseFile {
                path: path.into(),
                is_made,
                read_only_by,
            })
        };
        let file = |path: &str| described(path, true, None);
        for (url, kind, opened) in [
            ("sqlite::memory:", Kind::Memory, "sqlite::memory:"),
            ("sqlite://:memory:", Kind::Memory, "sqlite://:memory:"),
            (
                "sqlite://x?cache=shared&mode=memory",
                Kind::Memory,
                "sqlite://x?cache=shared&mode=memory",
            ),
            (
                "sqlite://wxqr.db",
                file("wxqr.db"),
                "sqlite://wxqr.db?mode=rwc",
            ),
            (
                "sqlite:///data/mode=memory",
                file("/data/mode=memory"),
                "sqlite:///data/mode=memory?mode=rwc",
            ),
            (
                "sqlite:///data/a:memory:b",
                file("/data/a:memory:b"),
                "sqlite:///data/a:memory:b?mode=rwc",
            ),
            (
                "sqlite:///a%20b%3Fmode=ro",
                file("/a b?mode=ro"),
                "sqlite:///a%20b%3Fmode=ro?mode=rwc",
            ),
            (
                "sqlite:///data/old/../x",
                file("/data/x"),
                "sqlite:///data/x?mode=rwc",
            ),
            (
                "sqlite://x?cache=private",
                file("x"),
                "sqlite://x?cache=private&mode=rwc",
            ),
            (
                "sqlite://x?mode=rwc&cache=private",
                file("x"),
                "sqlite://x?mode=rwc&cache=private",
            ),
            (
                "sqlite://x?mode=rw",
                described("x", false, None),
                "sqlite://x?mode=rw",
            ),
            (
                "sqlite://x?mode=rwc&mode=ro",
                described("x", true, Some("mode=ro")),
                "sqlite://x?mode=rwc&mode=ro",
            ),
            (
                "sqlite://x?immutable=1",
                described("x", true, Some("immutable=true")),
                "sqlite://x?immutable=1&mode=rwc",
            ),
            (
                "sqlite://x?immutable=true&immutable=false",
                file("x"),
                "sqlite://x?immutable=true&immutable=false&mode=rwc",
            ),
            (
                "postgres://user::memory:mode=memory@host/x",
                Kind::Server,
                "postgres://user::memory:mode=memory@host/x",
            ),
        ] {
            let place = Place::of(url);
            assert_eq!((&place.kind, place.url()), (&kind, opened), "{url}");
        }
    }

    #[test]
    fn a_look_changes_the_mode_and_nothing_else() {
        for (url, look) in [
            ("sqlite://wxqr.db", Some("sqlite://wxqr.db?mode=ro")),
            (
                "sqlite:///mode=rw?mode=rw&cache=private",
                Some("sqlite:///mode=rw?cache=private&mode=ro"),
            ),
            ("sqlite::memory:", None),
            ("postgres://host/x?mode=rw", None),
        ] {
            let got = Place::of(url).only_reading();
            assert_eq!(got.as_deref(), look, "{url}");
        }
    }
}
