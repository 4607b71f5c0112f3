//! Rows as CSV, for programs.

use csv::{Terminator, WriterBuilder};
use jiff::Timestamp;

use super::pages::Sink;
use super::row::{CodeRow, Links, Presenter, ReplyCells};
use crate::channels::ListedCode;
use crate::http::time_format::rfc3339;

/// The columns of the CSV, by their names in the API.
pub(super) const COLUMNS: [&str; 17] = [
    "label",
    "group",
    "scene_str",
    "scene_id",
    "permanent",
    "expire_seconds",
    "reply",
    "reply_news",
    "created_at",
    "created_by",
    "archived",
    "expires_at",
    "url",
    "png_url",
    "svg_url",
    "image_url",
    "ticket",
];

/// CSV in which every value is as it is.
pub(super) struct CsvSheet {
    presenter: Presenter,
    has_headings: bool,
}

impl CsvSheet {
    pub(super) fn new(presenter: Presenter) -> Self {
        Self {
            presenter,
            has_headings: false,
        }
    }
}

impl Sink for CsvSheet {
    fn write(&mut self, codes: Vec<ListedCode>) -> Vec<u8> {
        let headings = (!self.has_headings).then(|| COLUMNS.map(str::to_owned));
        self.has_headings = true;
        let rows = codes
            .into_iter()
            .map(|listed| values(&self.presenter.row(listed)));
        lines(headings.into_iter().chain(rows))
    }

    fn finish(self) -> Vec<u8> {
        Vec::new()
    }
}

/// Writes rows of equal length (RFC 4180).
pub(super) fn lines<R>(rows: impl Iterator<Item = R>) -> Vec<u8>
where
    R: IntoIterator<Item = String>,
{
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(row)
            .expect("a vector takes lines of equal length");
    }
    writer
        .into_inner()
        .expect("a vector takes all that is written")
}

/// The values of a row, by [`COLUMNS`].
pub(super) fn values(row: &CodeRow) -> [String; 17] {
    let time = |time: Option<Timestamp>| time.map(rfc3339).unwrap_or_default();
    let (links, reply) = (Links::of(row), ReplyCells::of(row));
    [
        row.record.channel.label.clone().unwrap_or_default(),
        row.record.channel.group.clone().unwrap_or_default(),
        row.scene_str.clone(),
        row.scene_id.clone(),
        row.permanent.to_string(),
        row.expire_seconds
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
        reply.text.to_owned(),
        reply.news,
        time(row.record.created_at),
        row.record.created_by.clone().unwrap_or_default(),
        row.record.archived.to_string(),
        time(row.expires_at),
        links.url.to_owned(),
        links.png.to_owned(),
        links.svg.to_owned(),
        links.image.to_owned(),
        links.ticket.to_owned(),
    ]
}
