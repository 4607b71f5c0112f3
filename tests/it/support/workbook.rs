//! An independent reader of workbooks.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::skip::skip;

/// The cells of a workbook as another library reads them; none without it.
pub(crate) fn cells_of(workbook: &[u8]) -> Option<Value> {
    const SCRIPT: &str = "import io, json, sys, openpyxl\n\
        sheet = openpyxl.load_workbook(io.BytesIO(sys.stdin.buffer.read())).active\n\
        rows = [[c if isinstance(c, (str, int, float, type(None))) else c.isoformat() for c in r] for r in sheet.iter_rows(values_only=True)]\n\
        print(json.dumps(rows))";
    let child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        skip("there is no python3", "REQUIRE_PYTHON");
        return None;
    };
    child.stdin.take().unwrap().write_all(workbook).ok();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        skip("python3 has no openpyxl", "REQUIRE_PYTHON");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
