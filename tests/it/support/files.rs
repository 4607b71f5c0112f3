//! Files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a file is, by its path from the repository's root.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text of a file.
pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap()
}

/// The texts of all files below a folder, each by its path from there.
pub(crate) fn texts_below(folder: &str) -> Vec<(String, String)> {
    let root = path(folder);
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}
