//! The columns of channels: decoding, and the keys that are computed of names.

use sqlx::Row as _;
use sqlx::any::AnyRow;
use wechat::push::Reply;

use crate::channels::channel::{Channel, ChannelRecord};
use crate::channels::label_sort::label_sort;
use crate::db::{Error, row};
use crate::text::folded;

/// Decodes the names of a row.
pub(crate) fn channel(found: &AnyRow) -> Result<Channel, Error> {
    Ok(Channel {
        label: found.try_get("label")?,
        group: found.try_get("group_name")?,
    })
}

pub(crate) fn reply(found: &AnyRow) -> Result<Option<Reply>, Error> {
    let stored: Option<String> = found.try_get("reply")?;
    let reply = stored.map(|text| serde_json::from_str(&text));
    reply.transpose().map_err(|_| Error::BadRow("a reply"))
}

/// Encodes a reply.
pub(crate) fn reply_column(reply: Option<&Reply>) -> Option<String> {
    reply.map(|reply| serde_json::to_string(reply).expect("it has texts only"))
}

/// Decodes what is kept of the scene of a row that may have no code.
pub(super) fn record(found: &AnyRow) -> Result<ChannelRecord, Error> {
    let created_at: Option<i64> = found.try_get("created_at")?;
    Ok(ChannelRecord {
        channel: channel(found)?,
        reply: reply(found)?,
        archived: found.try_get::<i64, _>("archived")? != 0,
        created_at: created_at.map(row::instant).transpose()?,
        created_by: found.try_get("created_by")?,
    })
}

/// What lists order and search names by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SearchKeys {
    pub(super) label_sort: Option<Vec<u8>>,
    /// Label and group, folded, on a line each; none without both.
    pub(super) folded_names: Option<String>,
}

impl SearchKeys {
    pub(super) fn of(channel: &Channel) -> Self {
        let names = [channel.label.as_deref(), channel.group.as_deref()];
        let names: Vec<_> = names.into_iter().flatten().map(folded).collect();
        Self {
            label_sort: channel.label.as_deref().map(label_sort),
            // No name has a line break, so no search finds the end of one and the start of another.
            folded_names: Some(names.join("\n")).filter(|names| !names.is_empty()),
        }
    }
}
