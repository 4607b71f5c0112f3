//! What is kept of a code besides its ticket, as JSON.

use serde::Serialize;
use utoipa::ToSchema;
use wechat::push::Reply;

use crate::channels::ChannelRecord;
use crate::http::api::reply_body::GivenMessage;
use crate::http::time_format::rfc3339;

/// What is kept of a code besides its ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub(crate) struct ChannelBody {
    /// The owner's name for the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The group that the scene belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// What a follower reads after a scan; absent if there is nothing of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GivenMessage>)]
    reply: Option<Reply>,
    /// Whether it is left out of lists. It is served and counted as ever.
    archived: bool,
    /// When it was first created (RFC 3339, UTC). A temporary code that is renewed keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// The name of the key that had the permanent code created. Absent for temporary codes, and
    /// for those of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
}

impl From<ChannelRecord> for ChannelBody {
    fn from(record: ChannelRecord) -> Self {
        Self {
            label: record.channel.label,
            group: record.channel.group,
            reply: record.reply,
            archived: record.archived,
            created_at: record.created_at.map(rfc3339),
            created_by: record.created_by,
        }
    }
}
