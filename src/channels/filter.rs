//! Which codes a list has, in which order, and where a page begins.

use jiff::Timestamp;
use wechat::scene::Scene;

use super::channel::ListedCode;
use super::label_sort::label_sort;
use crate::codes::SceneFilter;

/// Which codes to list. An absent field does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelFilter {
    /// Part of the label, the group or the scene, without regard to case.
    pub search: Option<String>,
    /// Exactly this label.
    pub label: Option<String>,
    /// Exactly this group.
    pub group: Option<String>,
    /// Permanent codes only, or temporary ones only.
    pub permanent: Option<bool>,
    /// Archived codes only, or those that are not.
    pub archived: Option<bool>,
    /// Codes that carry one of these scenes, if there are any.
    pub scenes: Vec<SceneFilter>,
}

/// Sort order of a list of codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    pub key: OrderKey,
    /// Whether the last comes first.
    pub reversed: bool,
}

/// By what a list is ordered. Equal ones are in the order of kind and scene.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderKey {
    /// Kind and scene, numbers by their value.
    #[default]
    Scene,
    /// Label, without regard to case, numbers by their value. Codes without a label are last, also
    /// where the order is reversed.
    Label,
    /// When the code was first created.
    Created,
}

/// Position of a code in a list, after which the next page begins (keyset pagination).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub scene: Scene,
    /// Its key in the order of the list.
    pub key: PositionKey,
}

/// The key of a code in each order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionKey {
    /// The scene alone.
    Scene,
    /// What its label is sorted by; none without one.
    Label(Option<Vec<u8>>),
    /// When it was created, in Unix milliseconds.
    Created(i64),
}

impl Position {
    /// Returns the position of a listed code.
    pub fn of(listed: &ListedCode, order: OrderKey) -> Self {
        let record = &listed.record;
        let key = match order {
            OrderKey::Scene => PositionKey::Scene,
            OrderKey::Label => PositionKey::Label(record.channel.label.as_deref().map(label_sort)),
            OrderKey::Created => {
                PositionKey::Created(record.created_at.map_or(0, Timestamp::as_millisecond))
            }
        };
        Self {
            scene: listed.scene.clone(),
            key,
        }
    }

    /// Returns the order of the list that it is a position in.
    pub fn order(&self) -> OrderKey {
        match self.key {
            PositionKey::Scene => OrderKey::Scene,
            PositionKey::Label(_) => OrderKey::Label,
            PositionKey::Created(_) => OrderKey::Created,
        }
    }
}
