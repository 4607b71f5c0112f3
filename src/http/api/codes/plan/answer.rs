//! The answer to a file of channels: what each row would make, and the sums.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wechat::push::Reply;

use crate::channels::KnownScene;
use crate::http::api::codes::new_code::NewCode;
use crate::http::api::reply_body::GivenMessage;

/// What a file would make.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    /// A row of the file each, without blank ones.
    pub(super) rows: Vec<PlannedRow>,
    /// Permanent codes that would be created, each of which stays taken for ever.
    pub(super) new_permanent: usize,
    /// Permanent codes that may still be created.
    pub(super) permanent_left: u64,
    /// Headings of columns that are not read.
    pub(super) unknown_columns: Vec<String>,
}

/// What a row would make.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedRow {
    /// Its line in the file.
    pub(super) line: u32,
    pub(super) status: RowStatus,
    /// What to send to `POST /api/codes`, or what could be read of an invalid row.
    #[schema(value_type = NewCode)]
    pub(super) request: Map<String, Value>,
    /// What the code of a changed row has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<CurrentNames>,
    /// Why the row is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// The fields from whose ends blanks were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) trimmed: Vec<&'static str>,
}

/// What a code has, before a row changes it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentNames {
    /// The owner's name for the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The group that the scene belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// What a follower reads after a scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GivenMessage>)]
    reply: Option<Reply>,
}

impl From<KnownScene> for CurrentNames {
    fn from(known: KnownScene) -> Self {
        Self {
            label: known.channel.label,
            group: known.channel.group,
            reply: known.reply,
        }
    }
}

/// What would become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowStatus {
    /// A code would be created.
    New,
    /// The code exists, with this name, group and reply.
    Known,
    /// The code exists, and would get this name, group or reply.
    Changed,
    /// The row cannot be used.
    Invalid,
}
