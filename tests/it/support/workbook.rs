//! An independent reader of workbooks.

use serde_json::Value;

use super::python::python;
use super::skip::skip;

/// The cells of a workbook as another library reads them; none without it.
pub(crate) fn cells_of(workbook: &[u8]) -> Option<Value> {
    const SCRIPT: &str = "import io, json, sys, openpyxl\n\
        sheet = openpyxl.load_workbook(io.BytesIO(sys.stdin.buffer.read())).active\n\
        rows = [[c if isinstance(c, (str, int, float, type(None))) else c.isoformat() for c in r] for r in sheet.iter_rows(values_only=True)]\n\
        print(json.dumps(rows))";
    let output = python(["-c", SCRIPT], workbook)?;
    if !output.status.success() {
        skip("python3 has no openpyxl", "REQUIRE_PYTHON");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
