//! SQLite's files: why they cannot be used, and who may read them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, access};
use rustix::process::{getuid, umask};

/// What stands beside SQLite's file while it is in use: the log, its index, and what there is without a log.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Why a file cannot be used as a database, for which no waiting helps.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used by user {user}: {cause}", path.display())]
pub struct FileProblem {
    path: PathBuf,
    /// The number of the user as which this process runs.
    user: u32,
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    NoFolder(PathBuf),
    NotAFolder(PathBuf),
    ClosedFolder(PathBuf),
    IsFolder,
    IsSpecial,
    IsAbsent,
    IsClosed,
    ReadOnlyMount,
    /// What SQLite or the operating system says.
    Other(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder(folder) => write!(f, "there is no folder {}", folder.display()),
            Self::NotAFolder(folder) => write!(f, "{} is no folder", folder.display()),
            Self::ClosedFolder(folder) => write!(
                f,
                "this user may not make files in the folder {}, and SQLite makes some beside its own",
                folder.display()
            ),
            Self::IsFolder => f.write_str("it is a folder"),
            Self::IsSpecial => f.write_str("it is no regular file"),
            Self::IsAbsent => {
                f.write_str("it is not there, and the mode in the address makes none")
            }
            Self::IsClosed => f.write_str("this user may not read and write it"),
            Self::ReadOnlyMount => f.write_str("its file system is mounted for reading only"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl FileProblem {
    /// What is wrong with a file, or with its folder; none if nothing can be seen.
    pub(super) fn find(path: &Path, is_made: bool) -> Option<Self> {
        cause(path, is_made).map(|cause| Self::new(path, cause))
    }

    /// The same for a file that SQLite refused: where nothing can be seen, with SQLite's words.
    pub(super) fn explain(path: &Path, is_made: bool, said: &sqlx::Error) -> Self {
        let said = || Cause::Other(said.to_string());
        Self::new(path, cause(path, is_made).unwrap_or_else(said))
    }

    fn new(path: &Path, cause: Cause) -> Self {
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            user: getuid().as_raw(),
            cause,
        }
    }

    /// What the owner can do about it.
    pub(super) fn action(&self) -> String {
        let user = self.user;
        match &self.cause {
            Cause::NoFolder(_) => format!("make the folder, and let user {user} write to it"),
            Cause::ClosedFolder(_) => {
                format!("let user {user} write to the folder (chown, chmod), or run as its owner")
            }
            Cause::NotAFolder(_) => "name a file in a folder".to_owned(),
            Cause::IsFolder => "name a file in it".to_owned(),
            Cause::IsSpecial => "name another file".to_owned(),
            Cause::IsAbsent => "leave the mode out, or check the path".to_owned(),
            Cause::IsClosed => {
                format!("let user {user} read and write it (chown, chmod), or run as its owner")
            }
            Cause::ReadOnlyMount => {
                "mount it for writing, or name a file on another one".to_owned()
            }
            Cause::Other(_) => {
                format!(
                    "check that user {user} may read and write the file and its folder, and the address"
                )
            }
        }
    }
}

fn cause(path: &Path, is_made: bool) -> Option<Cause> {
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => return Some(Cause::NotAFolder(folder.to_owned())),
        Ok(_) => {}
        Err(error) => return Some(folder_cause(folder, &error)),
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Some(Cause::IsFolder),
        Ok(found) if !found.is_file() => return Some(Cause::IsSpecial),
        Ok(_) => {
            if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK) {
                return Some(refused(error, Cause::IsClosed));
            }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Some(match error.kind() {
                io::ErrorKind::PermissionDenied => Cause::ClosedFolder(folder.to_owned()),
                _ => Cause::Other(error.to_string()),
            });
        }
        Err(_) if !is_made => return Some(Cause::IsAbsent),
        Err(_) => {}
    }
    let closed = || Cause::ClosedFolder(folder.to_owned());
    let may_make = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    may_make.err().map(|error| refused(error, closed()))
}

fn folder_cause(folder: &Path, error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::NotFound => Cause::NoFolder(folder.to_owned()),
        io::ErrorKind::NotADirectory => Cause::NotAFolder(folder.to_owned()),
        io::ErrorKind::PermissionDenied => Cause::ClosedFolder(folder.to_owned()),
        _ => Cause::Other(error.to_string()),
    }
}

fn refused(error: rustix::io::Errno, usual: Cause) -> Cause {
    if error == rustix::io::Errno::ROFS {
        Cause::ReadOnlyMount
    } else {
        usual
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Lets this process make no file that other users may read. SQLite gives the files beside its own the same mode.
pub(super) fn keep_new_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Warns of files that other users may read or write. Their modes are left as they are: somebody may want them so.
pub(super) fn warn_of_shared(path: &Path) {
    let beside = BESIDE.map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    for file in std::iter::once(path.to_owned()).chain(beside) {
        let Ok(found) = fs::metadata(&file) else {
            continue;
        };
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let action = format!("chmod 600 {}", file.display());
            tracing::warn!(
                file = %file.display(),
                mode = format!("{mode:04o}"),
                action,
                "other users may read the store's file, which holds followers and perhaps a token"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_path_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, is_made, want) in [
            ("file", true, None),
            ("new", true, None),
            ("new", false, Some(Cause::IsAbsent)),
            ("", true, Some(Cause::IsFolder)),
            ("none/x.db", true, Some(Cause::NoFolder(at("none")))),
            ("file/x.db", true, Some(Cause::NotAFolder(at("file")))),
            ("file/a/x.db", true, Some(Cause::NotAFolder(at("file/a")))),
            ("socket", true, Some(Cause::IsSpecial)),
        ] {
            assert_eq!(cause(&at(name), is_made), want, "{name:?}");
        }
        let long = at(&"x".repeat(300));
        assert!(matches!(cause(&long, true), Some(Cause::Other(_))));
    }

    #[test]
    fn a_problem_tells_path_user_cause_and_action() {
        let problem = FileProblem {
            path: "/nosuch/x.db".into(),
            user: 65532,
            cause: Cause::NoFolder("/nosuch".into()),
        };
        assert_eq!(
            problem.to_string(),
            "/nosuch/x.db cannot be used by user 65532: there is no folder /nosuch"
        );
        assert_eq!(
            problem.action(),
            "make the folder, and let user 65532 write to it"
        );
    }
}
