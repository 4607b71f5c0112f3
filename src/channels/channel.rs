//! What an owner keeps of a scene, and changes to it.

use jiff::Timestamp;
use wechat::push::Reply;
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

/// A change of something that may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The stored value stays.
    #[default]
    Keep,
    /// The stored value is removed.
    Clear,
    Set(T),
}

impl<T: Clone + PartialEq> Change<T> {
    /// Whether it changes nothing of this.
    pub(crate) fn is_met_by(&self, before: Option<&T>) -> bool {
        self.applied_to(before.cloned()).as_ref() == before
    }

    /// Applies the change to what was stored.
    pub(super) fn applied_to(&self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(new) => Some(new.clone()),
        }
    }
}

/// A change of what is kept of a scene.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelChange {
    pub label: Change<String>,
    pub group: Change<String>,
    pub reply: Change<Reply>,
    /// Whether it is archived from now on; none leaves it as it is.
    pub archived: Option<bool>,
}

impl ChannelChange {
    /// Sets the names that are given.
    pub fn naming(label: Option<&str>, group: Option<&str>) -> Self {
        let change = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            name.map_or(Change::Keep, Change::Set)
        };
        Self {
            label: change(label),
            group: change(group),
            ..Self::default()
        }
    }

    /// Returns the names that it sets, after the parameter of each.
    pub(crate) fn given_names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = [("label", &self.label), ("group", &self.group)];
        names
            .into_iter()
            .filter_map(|(parameter, change)| match change {
                Change::Set(name) => Some((parameter, name.as_str())),
                Change::Keep | Change::Clear => None,
            })
    }
}

/// What is kept of a scene besides its code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRecord {
    pub channel: Channel,
    /// What a follower reads after a scan.
    pub reply: Option<Reply>,
    /// Whether it is left out of lists. Its code is served and counted as ever.
    pub archived: bool,
    /// When its code was first created; none where the code is not stored.
    pub created_at: Option<Timestamp>,
    /// The name of the key that had its permanent code created.
    pub created_by: Option<String>,
}

/// A code in the list of codes.
#[derive(Debug, Clone)]
pub struct ListedCode {
    pub scene: Scene,
    pub record: ChannelRecord,
    /// The code; none where the outcome of a mint is not known.
    pub code: Option<IssuedCode>,
}

/// A group, and the codes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// How many codes a list of it has.
    pub codes: u64,
}
