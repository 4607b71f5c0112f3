//! The columns of a file, and the headings by which they are recognised.

/// A column that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The channel's name.
    Label,
    /// The group that it belongs to.
    Group,
    /// The scene, where it is a text.
    SceneStr,
    /// The scene, where it is a number.
    SceneId,
    /// Whether its code is permanent.
    Permanent,
    /// The lifetime of its code.
    ExpireSeconds,
    /// What a follower reads after a scan.
    Reply,
    /// A card that a follower gets after a scan, as JSON.
    ReplyNews,
}

/// Headings in lower case. The first two of each are documented; the others are close to them, or
/// are those of our own files.
const HEADINGS: [(Column, &[&str]); 8] = [
    (
        Column::Label,
        &["名称", "label", "name", "渠道", "渠道名称"],
    ),
    (Column::Group, &["分组", "group"]),
    (Column::SceneStr, &["场景值", "scene_str", "scene"]),
    (Column::SceneId, &["数字场景值", "scene_id"]),
    (Column::Permanent, &["类型", "permanent", "kind", "type"]),
    (
        Column::ExpireSeconds,
        &["有效期", "expire_seconds", "有效期（秒）", "有效期(秒)"],
    ),
    (Column::Reply, &["回复", "reply"]),
    (
        Column::ReplyNews,
        &["图文回复", "reply_news", "reply as a card"],
    ),
];

impl Column {
    /// The column of a heading, whatever its case.
    pub fn of_heading(heading: &str) -> Option<Self> {
        let heading = heading.to_lowercase();
        let known = HEADINGS
            .iter()
            .find(|(_, headings)| headings.contains(&heading.as_str()));
        known.map(|(column, _)| *column)
    }

    /// The heading in Chinese.
    pub fn chinese(self) -> &'static str {
        self.headings()[0]
    }

    /// The heading in English, which is the name of the value in the API.
    pub fn english(self) -> &'static str {
        self.headings()[1]
    }

    /// Whether its values may have line breaks.
    pub(super) fn has_lines(self) -> bool {
        matches!(self, Self::Reply | Self::ReplyNews)
    }

    fn headings(self) -> &'static [&'static str] {
        let row = HEADINGS.iter().find(|(column, _)| *column == self);
        row.expect("every column has headings").1
    }
}
