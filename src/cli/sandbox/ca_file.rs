//! Where `--ca-out` writes the certificate of the sandbox's CA.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wechat_sandbox::AUTHORITY_NAME;

/// The longest file that can be an earlier certificate, in bytes; ours have some 700.
const MAX_LENGTH: u64 = 16 * 1024;

/// Writes the certificate, and replaces one that an earlier sandbox has left there. No other file
/// is replaced, and no symbolic link is followed: the rename takes the place of the name, never of
/// what it points to.
///
/// # Errors
/// When something else has the name, or the folder cannot be written to.
pub(super) fn write(path: &Path, pem: &str) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| cannot(path)),
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_LENGTH && is_ours(path) => {}
        Ok(_) => bail!(
            "--ca-out: {} exists and is no CA certificate of a sandbox; choose another name, or remove it",
            path.display()
        ),
    }
    put(path, pem).with_context(|| cannot(path))
}

fn cannot(path: &Path) -> String {
    format!("--ca-out: {} cannot be written", path.display())
}

/// Writes a temporary file and renames it, so that a client reads the old one or the new one.
fn put(path: &Path, pem: &str) -> io::Result<()> {
    let mut name = OsString::from(path);
    name.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(beside)?;
    let written = file
        .write_all(pem.as_bytes())
        .and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        fs::remove_file(beside).ok();
    }
    written
}

/// Whether a file is one certificate, and that of a sandbox's CA.
fn is_ours(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let text = text.trim();
    let body = text
        .strip_prefix("-----BEGIN CERTIFICATE-----")
        .and_then(|text| text.strip_suffix("-----END CERTIFICATE-----"));
    let body: String = body.unwrap_or_default().split_whitespace().collect();
    let der = BASE64_STANDARD.decode(body).unwrap_or_default();
    let name = AUTHORITY_NAME.as_bytes();
    der.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use wechat_sandbox::TlsIdentity;

    use super::*;

    fn certificate() -> String {
        let now = "2026-11-22T04:00:00Z".parse().unwrap();
        TlsIdentity::new(&[], now).unwrap().authority
    }

    #[test]
    fn a_certificate_replaces_that_of_an_earlier_start_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let (first, second) = (certificate(), certificate());
        assert_ne!(first, second);
        write(&path, &first).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        write(&path, &second).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), second);

        for other in [
            "",
            "notes",
            &format!("{first}{second}"),
            &format!("x{first}"),
        ] {
            fs::write(&path, other).unwrap();
            let error = write(&path, &first).unwrap_err().to_string();
            assert!(error.contains("choose another name"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_link_is_neither_followed_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        let first = certificate();
        fs::write(&target, &first).unwrap();
        for points_to in [target.as_path(), Path::new("nowhere")] {
            symlink(points_to, &link).unwrap();
            assert!(write(&link, &certificate()).is_err());
            assert_eq!(fs::read_to_string(&target).unwrap(), first);
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("ca.pem");
        let error = format!("{:#}", write(&path, "x").unwrap_err());
        assert!(error.contains("missing/ca.pem"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
