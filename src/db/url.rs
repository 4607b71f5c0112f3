//! The database URL: which database, where, and how many connections it gets.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

use super::limits::READ_CONNECTIONS;
use crate::text::random_token;

/// The database system, and so its SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A database URL, parsed. It may hold a password.
pub(crate) struct DatabaseUrl {
    url: String,
    location: Location,
}

/// Where the database is.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Memory,
    File(DatabaseFile),
    Server,
}

/// SQLite's file on disk, as the URL describes it: its path, and whether it may be created and
/// written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DatabaseFile {
    pub(crate) path: PathBuf,
    /// Whether opening creates a file that is missing.
    pub(crate) creates_file: bool,
    /// The parameter that forbids writing.
    pub(crate) read_only_by: Option<&'static str>,
}

impl DatabaseUrl {
    /// Reads a URL that the settings allow: `sqlite:` with a file or `:memory:` and perhaps
    /// parameters, else PostgreSQL's.
    pub(crate) fn new(url: &str) -> Self {
        if !url.starts_with("sqlite:") {
            let (url, location) = (url.to_owned(), Location::Server);
            return Self { url, location };
        }
        // As the driver will read it, which resolves `..` for one.
        let url = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
        let rest = url.strip_prefix("sqlite:").unwrap_or(&url);
        let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
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
        let location = if file == ":memory:" || modes.iter().any(|mode| mode == "memory") {
            Location::Memory
        } else {
            let decoded = percent_decode_str(file).decode_utf8_lossy();
            Location::File(DatabaseFile {
                path: decoded.into_owned().into(),
                creates_file: modes.is_empty() || modes.iter().any(|mode| mode == "rwc"),
                read_only_by,
            })
        };
        let url = match location {
            Location::Memory => shared_in_memory(file, query),
            Location::File(_) if modes.is_empty() => with_mode(&url, "rwc"),
            Location::File(_) | Location::Server => url.clone(),
        };
        Self { url, location }
    }

    /// The URL for the driver. One of SQLite creates a missing file, unless it says otherwise
    /// itself; one in memory names a database that connections share.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.location {
            Location::Memory | Location::File(_) => Dialect::Sqlite,
            Location::Server => Dialect::Postgres,
        }
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.location == Location::Memory
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.location, Location::File(_))
    }

    pub(crate) fn file(&self) -> Option<&DatabaseFile> {
        match &self.location {
            Location::File(file) => Some(file),
            Location::Memory | Location::Server => None,
        }
    }

    /// Whether opening will create SQLite's file.
    pub(crate) fn is_new_file(&self) -> bool {
        self.file().is_some_and(|file| {
            file.creates_file && file.path.try_exists().is_ok_and(|there| !there)
        })
    }

    /// The size of the pool that reads. Connections to a database in memory would lock each other
    /// out.
    pub(crate) fn connections(&self) -> u32 {
        if self.is_memory() {
            1
        } else {
            READ_CONNECTIONS
        }
    }

    /// How many connections stay open. A handshake with PostgreSQL takes longer than a call should;
    /// a file is opened at once.
    pub(crate) fn idle_connections(&self) -> u32 {
        match self.dialect() {
            Dialect::Sqlite => 0,
            Dialect::Postgres => self.connections(),
        }
    }

    /// The URL that opens SQLite's file without writing to it.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.is_file().then(|| with_mode(&self.url, "ro"))
    }
}

/// The URL with this mode instead of its own.
fn with_mode(url: &str, mode: &str) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    with_parameters(place, query, &["mode"], mode)
}

/// The URL of a database in memory by a name, because each connection to `:memory:` would have a
/// database of its own. SQLite shares only names that begin with `file:`.
fn shared_in_memory(name: &str, query: &str) -> String {
    let place = match name {
        ":memory:" => format!("sqlite:file:memory-{}", random_token()),
        name => format!("sqlite:file:{name}"),
    };
    with_parameters(&place, query, &["mode", "cache"], "memory")
}

/// The URL with this mode, and without the parameters that it replaces.
fn with_parameters(place: &str, query: &str, replaced: &[&str], mode: &str) -> String {
    let others = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !replaced.contains(&name.as_ref()));
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
    fn path_and_mode_alone_distinguish_a_file_from_memory() {
        let described = |path: &str, creates_file, read_only_by| {
            Location::File(DatabaseFile {
                path: path.into(),
                creates_file,
                read_only_by,
            })
        };
        let file = |path: &str| described(path, true, None);
        for (url, location, opened) in [
            (
                "sqlite://x?cache=private&mode=memory",
                Location::Memory,
                "sqlite:file:x?mode=memory",
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
                Location::Server,
                "postgres://user::memory:mode=memory@host/x",
            ),
        ] {
            let parsed = DatabaseUrl::new(url);
            assert_eq!(
                (&parsed.location, parsed.url()),
                (&location, opened),
                "{url}"
            );
        }
    }

    #[test]
    fn each_database_in_memory_has_a_name_of_its_own() {
        let urls = ["sqlite::memory:", "sqlite://:memory:", "sqlite::memory:"];
        let [one, other, third] = urls.map(DatabaseUrl::new);
        for parsed in [&one, &other, &third] {
            assert!(parsed.is_memory());
            assert!(parsed.url().starts_with("sqlite:file:memory-"));
            assert!(parsed.url().ends_with("?mode=memory"));
        }
        assert_ne!(one.url(), other.url());
        assert_ne!(one.url(), third.url());
    }

    #[test]
    fn read_only_changes_the_mode_and_nothing_else() {
        for (url, want) in [
            ("sqlite://wxqr.db", Some("sqlite://wxqr.db?mode=ro")),
            (
                "sqlite:///mode=rw?mode=rw&cache=private",
                Some("sqlite:///mode=rw?cache=private&mode=ro"),
            ),
            ("sqlite::memory:", None),
            ("postgres://host/x?mode=rw", None),
        ] {
            let got = DatabaseUrl::new(url).read_only();
            assert_eq!(got.as_deref(), want, "{url}");
        }
    }
}
