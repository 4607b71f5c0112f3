//! What an owner keeps of a scene, and changes to it.

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

/// The names that an owner gave a scene. They belong to the scene and its kind, and outlive a
/// ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// The name of the scene.
    pub label: Option<String>,
    /// The name of the group that it belongs to.
    pub group: Option<String>,
}

/// A change of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameChange {
    /// The name stays.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// It is this one.
    Set(String),
}

impl NameChange {
    /// The name after the change.
    pub(super) fn applied_to(&self, name: Option<String>) -> Option<String> {
        match self {
            Self::Keep => name,
            Self::Clear => None,
            Self::Set(new) => Some(new.clone()),
        }
    }
}

/// A change of what is kept of a scene.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelChange {
    /// Of the name.
    pub label: NameChange,
    /// Of the group.
    pub group: NameChange,
    /// Whether it is archived from now on; none leaves it as it is.
    pub archived: Option<bool>,
}

impl ChannelChange {
    /// Sets the names that are given.
    pub fn naming(label: Option<&str>, group: Option<&str>) -> Self {
        let change = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            name.map_or(NameChange::Keep, NameChange::Set)
        };
        Self {
            label: change(label),
            group: change(group),
            archived: None,
        }
    }

    /// The names that it sets, after the parameter of each.
    pub(crate) fn given_names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = [("label", &self.label), ("group", &self.group)];
        names
            .into_iter()
            .filter_map(|(parameter, change)| match change {
                NameChange::Set(name) => Some((parameter, name.as_str())),
                NameChange::Keep | NameChange::Clear => None,
            })
    }
}

/// What is kept of a scene besides its code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its names.
    pub channel: Channel,
    /// Whether it is left out of lists. Its code is served and counted as ever.
    pub archived: bool,
    /// When its code was first created; none where the code is not stored.
    pub created_at: Option<Timestamp>,
    /// The name of the key that had its permanent code created.
    pub created_by: Option<String>,
}

/// A code in the list.
#[derive(Debug, Clone)]
pub struct ListedCode {
    /// What it carries.
    pub scene: Scene,
    /// What is kept of it.
    pub record: ChannelRecord,
    /// The code; none where the outcome of a mint is not known.
    pub code: Option<IssuedCode>,
}

/// A group, and the codes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many codes a list of it has.
    pub codes: u64,
}
