//! SQLite's files: why they cannot be used, and who may read them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, access};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk, getuid, umask};

use super::url::DatabaseFile;

/// The files beside SQLite's while it is in use: the log, its index, and what there is
/// without a log.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How many links in a row are followed, as Linux does (`path_resolution(7)`).
const LINKS_FOLLOWED: usize = 40;

/// Why this process cannot read and write SQLite's file, such as a missing folder, permissions or a
/// read-only mount. Waiting does not help.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used by user {user}: {}{cause}", path.display(), linked(link.as_deref()))]
pub struct FileProblem {
    path: PathBuf,
    /// Where the path leads, if it is a symbolic link.
    link: Option<PathBuf>,
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
    /// A file beside the database, such as a log that another user has left.
    BesideIsClosed(PathBuf),
    BesideIsSpecial(PathBuf),
    /// A parameter of the address.
    ReadOnlyBy(&'static str),
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
                "this user may not create files in the folder {}, and SQLite creates some beside its own",
                folder.display()
            ),
            Self::IsFolder => f.write_str("it is a folder"),
            Self::IsSpecial => f.write_str("it is no regular file"),
            Self::IsAbsent => {
                f.write_str("it does not exist, and the mode in the address does not create it")
            }
            Self::IsClosed => f.write_str("this user may not read and write it"),
            Self::ReadOnlyMount => f.write_str("its file system is mounted read-only"),
            Self::BesideIsClosed(file) => write!(
                f,
                "this user may not read and write {}, which SQLite uses with it",
                file.display()
            ),
            Self::BesideIsSpecial(file) => write!(
                f,
                "{} is no regular file, and SQLite uses it too",
                file.display()
            ),
            Self::ReadOnlyBy(parameter) => {
                write!(f, "{parameter} in the address forbids writing")
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

fn linked(target: Option<&Path>) -> String {
    target.map_or_else(String::new, |target| {
        format!("it is a link to {}, and ", target.display())
    })
}

impl FileProblem {
    /// Finds what is wrong with a file, or with its folder; none if nothing can be seen.
    pub(super) fn find(file: &DatabaseFile) -> Option<Self> {
        let target = target(&file.path);
        cause(&target, file).map(|cause| Self::new(&file.path, target, cause))
    }

    /// Explains a file that SQLite refused; where nothing can be seen, with SQLite's words.
    pub(super) fn explain(file: &DatabaseFile, said: &sqlx::Error) -> Self {
        let target = target(&file.path);
        let cause = cause(&target, file).unwrap_or_else(|| Cause::Other(said.to_string()));
        Self::new(&file.path, target, cause)
    }

    fn new(path: &Path, target: PathBuf, cause: Cause) -> Self {
        Self {
            path: absolute(path),
            link: (target != path).then_some(target),
            user: getuid().as_raw(),
            cause,
        }
    }

    /// What the owner can do about it.
    pub(super) fn action(&self) -> String {
        let user = self.user;
        match &self.cause {
            Cause::NoFolder(_) => format!("create the folder, and let user {user} write to it"),
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
            Cause::ReadOnlyMount => "mount it read-write, or name a file on another one".to_owned(),
            Cause::BesideIsClosed(file) => format!(
                "let user {user} read and write it too: chown {user} {}",
                quoted(file)
            ),
            Cause::BesideIsSpecial(_) => "move it away, or name another file".to_owned(),
            Cause::ReadOnlyBy(_) => "leave the parameter out".to_owned(),
            Cause::Other(_) => {
                format!(
                    "check that user {user} may read and write the file and its folder, and the address"
                )
            }
        }
    }
}

/// Follows the links of a path. SQLite follows them too, and has its other files beside the target.
fn target(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..LINKS_FOLLOWED {
        match fs::read_link(&target) {
            Ok(link) => target = folder_of(&target).join(link),
            Err(_) => break,
        }
    }
    target
}

fn cause(path: &Path, file: &DatabaseFile) -> Option<Cause> {
    if let Some(parameter) = file.read_only_by {
        return Some(Cause::ReadOnlyBy(parameter));
    }
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
        Err(_) if !file.creates_file => return Some(Cause::IsAbsent),
        Err(_) => {}
    }
    let beside = beside(path);
    if let Some(cause) = beside.iter().find_map(|file| cause_beside(file)) {
        return Some(cause);
    }
    let [log, index, _] = beside;
    if log.exists() && index.exists() {
        // Nothing has to be made.
        return None;
    }
    let closed = || Cause::ClosedFolder(folder.to_owned());
    let may_make = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    may_make.err().map(|error| refused(error, closed()))
}

fn cause_beside(file: &Path) -> Option<Cause> {
    let found = fs::metadata(file).ok()?;
    if !found.is_file() {
        return Some(Cause::BesideIsSpecial(file.to_owned()));
    }
    let may = access(file, Access::READ_OK | Access::WRITE_OK);
    may.err()
        .map(|error| refused(error, Cause::BesideIsClosed(file.to_owned())))
}

pub(super) fn beside(path: &Path) -> [PathBuf; 3] {
    BESIDE.map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Quotes a path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
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

pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The bytes that SQLite locks while a connection has the file open: always in WAL mode, and else
/// while it reads (`SHARED_FIRST` and `SHARED_SIZE` in its `os.h`).
const SHARED_LOCK: (u64, u64) = (0x4000_0002, 510);

/// Whether another process has SQLite's file open. This process must not have it open: closing any
/// handle ends a process's locks.
pub(super) fn is_open_elsewhere(path: &Path) -> io::Result<bool> {
    let (start, length) = SHARED_LOCK;
    let conflicting = Flock {
        start,
        length,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    Ok(fcntl_getlk(fs::File::open(path)?, &conflicting)?.is_some())
}

/// Lets this process make no file that other users may read. SQLite gives the files beside its own
/// the same mode.
pub(super) fn keep_new_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// A database file that other users may read or write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("other users may use {} (mode {mode:04o}), which holds followers and perhaps a token", path.display())]
pub struct ExposedFile {
    path: PathBuf,
    mode: u32,
}

impl ExposedFile {
    pub(super) fn find_all(file: &DatabaseFile) -> Vec<Self> {
        let path = absolute(&target(&file.path));
        let beside = beside(&path);
        let files = std::iter::once(path).chain(beside);
        files.filter_map(Self::find).collect()
    }

    fn find(path: PathBuf) -> Option<Self> {
        let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(Self { path, mode })
    }

    /// What the owner can do about it.
    pub fn action(&self) -> String {
        format!("chmod 600 {}", quoted(&self.path))
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
        for (name, creates_file, want) in [
            ("file", true, None),
            ("new", true, None),
            ("new", false, Some(Cause::IsAbsent)),
            ("", true, Some(Cause::IsFolder)),
            ("none/x.db", true, Some(Cause::NoFolder(at("none")))),
            ("file/x.db", true, Some(Cause::NotAFolder(at("file")))),
            ("file/a/x.db", true, Some(Cause::NotAFolder(at("file/a")))),
            ("socket", true, Some(Cause::IsSpecial)),
        ] {
            let found = FileProblem::find(&described(at(name), creates_file));
            assert_eq!(found.map(|problem| problem.cause), want, "{name:?}");
        }
        let long = FileProblem::find(&described(at(&"x".repeat(300)), true));
        assert!(matches!(long.unwrap().cause, Cause::Other(_)));
    }

    fn described(path: PathBuf, creates_file: bool) -> DatabaseFile {
        DatabaseFile {
            path,
            creates_file,
            read_only_by: None,
        }
    }

    #[test]
    fn a_link_is_followed_to_what_is_wrong_with_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, at(name)).unwrap();
        link("none/x.db", "dangling");
        link("dangling", "twice");
        link("loop", "loop");
        link("new.db", "usable");
        for (name, says) in [
            ("dangling", Some("there is no folder")),
            ("twice", Some("there is no folder")),
            ("loop", Some("Too many levels of symbolic links")),
            ("usable", None),
        ] {
            let said = FileProblem::find(&described(at(name), true)).map(|p| p.to_string());
            assert_eq!(said.is_some(), says.is_some(), "{name}: {said:?}");
            if let (Some(said), Some(says)) = (said, says) {
                assert!(said.contains(says), "{said}");
            }
        }
        let dangling = FileProblem::find(&described(at("dangling"), true)).unwrap();
        let says = format!("it is a link to {}, and ", at("none/x.db").display());
        assert!(dangling.to_string().contains(&says), "{dangling}");
    }

    #[test]
    fn what_is_beside_the_file_is_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = described(folder.path().join("x.db"), true);
        for suffix in BESIDE {
            let beside = folder.path().join(format!("x.db{suffix}"));
            fs::create_dir(&beside).unwrap();
            let found = FileProblem::find(&file).unwrap().cause;
            assert_eq!(found, Cause::BesideIsSpecial(beside.clone()));
            fs::remove_dir(&beside).unwrap();
        }
    }

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        for (path, want) in [
            ("/data/wxqr.db", "/data/wxqr.db"),
            ("/my data/x.db", "'/my data/x.db'"),
            ("/a'b;$(x)", r"'/a'\''b;$(x)'"),
            ("/扫码.db", "'/扫码.db'"),
        ] {
            assert_eq!(quoted(Path::new(path)), want);
        }
    }

    #[test]
    fn a_problem_names_path_user_cause_and_action() {
        let problem = FileProblem {
            path: "/nosuch/x.db".into(),
            link: None,
            user: 65532,
            cause: Cause::NoFolder("/nosuch".into()),
        };
        assert_eq!(
            problem.to_string(),
            "/nosuch/x.db cannot be used by user 65532: there is no folder /nosuch"
        );
        assert_eq!(
            problem.action(),
            "create the folder, and let user 65532 write to it"
        );
    }
}
