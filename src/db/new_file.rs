//! A database file that appears under its name once it is whole, and never over another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::files;

/// Begins the name of a file that is not whole. A killed process leaves one behind, which may be
/// removed.
const UNFINISHED_PREFIX: &str = ".wxqr-unfinished-";

/// A file of mode 0600 under a name of its own, which is removed unless it is published.
#[derive(Debug)]
pub(super) struct NewFile {
    unfinished: NamedTempFile,
    target: PathBuf,
}

/// Why there is no new file.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// Something is there already: the file, or one that SQLite would take for a part of it.
    #[error("{} exists, and nothing is written over; name another file", .0.display())]
    Exists(PathBuf),
    /// The operating system refuses to write it.
    #[error("{} cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

impl NewFile {
    /// Makes an empty file in the folder of `target`.
    ///
    /// # Errors
    /// [`NewFileError`], before any work is done for the file.
    pub(super) fn begin(target: &Path) -> Result<Self, NewFileError> {
        let mut files = std::iter::once(target.to_owned()).chain(files::beside(target));
        if let Some(existing) = files.find(|file| fs::symlink_metadata(file).is_ok()) {
            return Err(NewFileError::Exists(existing));
        }
        let unfinished = tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(files::folder_of(target));
        Ok(Self {
            unfinished: unfinished.map_err(|error| unwritable(target, error))?,
            target: target.to_owned(),
        })
    }

    /// The path under which the file is written.
    ///
    /// # Errors
    /// When it is not UTF-8, which SQLite's driver needs.
    pub(super) fn path(&self) -> Result<&str, NewFileError> {
        self.unfinished.path().to_str().ok_or_else(|| {
            let cause = "the name of its folder is not UTF-8";
            let error = io::Error::new(io::ErrorKind::InvalidFilename, cause);
            unwritable(&self.target, error)
        })
    }

    /// Brings the file to the disk, and gives it its name. Returns its size in bytes. No database
    /// may have it open.
    ///
    /// # Errors
    /// [`NewFileError`].
    pub(super) fn publish(self) -> Result<u64, NewFileError> {
        let Self { unfinished, target } = self;
        let failed = |error| unwritable(&target, error);
        let file = unfinished.as_file();
        file.sync_all().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        unfinished.persist_noclobber(&target).map_err(|refused| {
            if refused.error.kind() == io::ErrorKind::AlreadyExists {
                NewFileError::Exists(target.clone())
            } else {
                failed(refused.error)
            }
        })?;
        let folder = File::open(files::folder_of(&target)).and_then(|folder| folder.sync_all());
        folder.map_err(failed)?;
        Ok(size)
    }
}

fn unwritable(path: &Path, source: io::Error) -> NewFileError {
    NewFileError::Unwritable {
        path: path.to_owned(),
        source,
    }
}
