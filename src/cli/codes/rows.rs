//! Rows of a plan, as the service answers it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::printable::printable;

/// What a file would make.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    pub(super) new_permanent: u64,
    pub(super) permanent_left: u64,
    pub(super) unknown_columns: Vec<String>,
}

/// A row of the file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) status: RowStatus,
    /// The body that makes it.
    pub(super) request: Map<String, Value>,
    /// Why it is invalid.
    pub(super) problem: Option<String>,
}

/// What would become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowStatus {
    New,
    Known,
    Changed,
    Invalid,
}

impl RowStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Changed => "changed",
            Self::Invalid => "invalid",
        }
    }
}

impl Row {
    /// The name, or the scene of one without.
    pub(super) fn name(&self) -> String {
        let fields = ["label", "scene_str", "scene_id"];
        let name = fields.iter().find_map(|field| self.request.get(*field));
        match name {
            Some(Value::String(text)) => printable(text),
            Some(number) => number.to_string(),
            None => String::new(),
        }
    }
}
