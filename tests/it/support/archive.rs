//! An independent reader of archives.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::python::python;

/// What is in an archive, by name, as Python unpacks it; none without Python.
pub(crate) fn unpacked(archive: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    const SCRIPT: &str = "import base64, io, json, sys, zipfile\n\
        archive = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n\
        assert archive.testzip() is None\n\
        print(json.dumps([[it.filename, base64.b64encode(archive.read(it)).decode()] for it in archive.infolist()]))";
    let output = python(["-c", SCRIPT], archive)?;
    assert!(output.status.success());
    let entries: Vec<(String, String)> = serde_json::from_slice(&output.stdout).unwrap();
    let count = entries.len();
    let entries = entries
        .into_iter()
        .map(|(name, file)| (name, BASE64_STANDARD.decode(file).unwrap()));
    let entries: BTreeMap<_, _> = entries.collect();
    assert_eq!(entries.len(), count, "two entries have one name");
    Some(entries)
}
