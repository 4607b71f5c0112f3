//! Reading a file that a setting names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;

/// Largest file that a setting may name, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a file that a setting names. Errors omit the path, which may be the secret itself by
/// mistake.
pub(super) fn read_file(path: impl AsRef<OsStr>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path.as_ref())
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        Ok(bytes)
    } else {
        Err("the file is larger than 1 MiB".to_owned())
    }
}
