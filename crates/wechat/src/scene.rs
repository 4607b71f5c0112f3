//! Scenes: the parameter that a code carries, its kind, and the requested lifetime. Values are
//! validated on construction, because WeChat does not validate: it clamps numbers and accepts
//! malformed bodies.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// WeChat's four `action_name`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Temporary, with a number.
    QrScene,
    /// Temporary, with a text.
    QrStrScene,
    /// Permanent, with a number.
    QrLimitScene,
    /// Permanent, with a text.
    QrLimitStrScene,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::QrScene,
        Self::QrStrScene,
        Self::QrLimitScene,
        Self::QrLimitStrScene,
    ];

    /// WeChat's name of the kind.
    pub fn action_name(self) -> &'static str {
        match self {
            Self::QrScene => "QR_SCENE",
            Self::QrStrScene => "QR_STR_SCENE",
            Self::QrLimitScene => "QR_LIMIT_SCENE",
            Self::QrLimitStrScene => "QR_LIMIT_STR_SCENE",
        }
    }

    /// Whether codes of this kind never expire and count against the account's stock.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::QrLimitScene | Self::QrLimitStrScene)
    }
}

impl FromStr for Kind {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let named = Self::ALL
            .into_iter()
            .find(|kind| kind.action_name() == text);
        named.ok_or(SceneError::UnknownKind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action_name())
    }
}

/// Scene number of a temporary code: 1 to 4 294 967 295 (unsigned 32 bits, not zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SceneId(u32);

impl SceneId {
    /// The largest scene number of a temporary code.
    pub const MAX: u32 = u32::MAX;

    /// The number, never 0.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for SceneId {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        parse_scene_number(text, Self::MAX).map(Self)
    }
}

/// Scene number of a permanent code: 1 to 100 000 (WeChat's documented range).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PermanentId(u32);

impl PermanentId {
    /// The largest scene number of a permanent code.
    pub const MAX: u32 = 100_000;

    /// The number, never 0.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for PermanentId {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        parse_scene_number(text, Self::MAX).map(Self)
    }
}

/// Every number of a permanent code may also be that of a temporary one.
impl From<PermanentId> for SceneId {
    fn from(id: PermanentId) -> Self {
        Self(id.0)
    }
}

/// Parses canonical decimal digits. One number has one notation, so one scene has one link, one
/// signature and one code.
fn parse_scene_number(text: &str, max: u32) -> Result<u32, SceneError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SceneError::NotANumber { max });
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(SceneError::LeadingZero { max });
    }
    match text.parse::<u32>() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(SceneError::OutOfRange { max }),
    }
}

/// Scene text: 1 to 64 characters, no control characters, without the reserved prefix `wxqr.`.
///
/// WeChat documents "length 1 to 64" without a unit; characters are what users count. If WeChat
/// counts a text differently, it answers with errcode 40053.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SceneText(Box<str>);

impl SceneText {
    /// Maximum length, in characters.
    pub const MAX_CHARS: usize = 64;
    /// Prefix of scene texts that are reserved for the service itself.
    pub const RESERVED_PREFIX: &'static str = "wxqr.";

    /// The text as it is sent to WeChat (`scene_str`).
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A reserved text, which cannot be requested from outside.
    pub fn reserved(name: &str) -> Self {
        Self(format!("{}{name}", Self::RESERVED_PREFIX).into())
    }
}

impl FromStr for SceneText {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let length = text.chars().count();
        if !(1..=Self::MAX_CHARS).contains(&length) {
            return Err(SceneError::Length { got: length });
        }
        if text.chars().any(char::is_control) {
            return Err(SceneError::ControlCharacter);
        }
        if text.starts_with(Self::RESERVED_PREFIX) {
            return Err(SceneError::Reserved);
        }
        Ok(Self(text.into()))
    }
}

/// Why a scene is invalid. The message names what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// A character other than a decimal digit.
    #[error(
        "must be a whole number from 1 to {max}, written in digits only; use scene_str for a text"
    )]
    NotANumber {
        /// The largest accepted number.
        max: u32,
    },
    /// A leading zero.
    #[error(
        "must be a whole number from 1 to {max} without leading zeros; use scene_str to keep the zeros"
    )]
    LeadingZero {
        /// The largest accepted number.
        max: u32,
    },
    /// A number outside the range.
    #[error("must be a whole number from 1 to {max}")]
    OutOfRange {
        /// The largest accepted number.
        max: u32,
    },
    /// An empty or too long text.
    #[error("must have 1 to 64 characters, but has {got}")]
    Length {
        /// Its length, in characters.
        got: usize,
    },
    /// A control character.
    #[error("must not contain control characters, such as a line break or a tab")]
    ControlCharacter,
    /// Not one of WeChat's four kinds.
    #[error("must be QR_SCENE, QR_STR_SCENE, QR_LIMIT_SCENE or QR_LIMIT_STR_SCENE")]
    UnknownKind,
    /// A text with the reserved prefix.
    #[error("must not begin with \"wxqr.\", which the service keeps for itself")]
    Reserved,
}

/// Lifetime of a temporary code: 1 second to 30 days (2 592 000 seconds, WeChat's documented
/// maximum).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(u32);

impl Lifetime {
    /// The longest lifetime that WeChat grants, in seconds.
    pub const MAX_SECONDS: u32 = 2_592_000;

    /// Returns the whole seconds, the unit of WeChat's API.
    pub fn as_secs(self) -> u32 {
        self.0
    }

    /// Converts to a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl TryFrom<u64> for Lifetime {
    type Error = LifetimeError;

    fn try_from(seconds: u64) -> Result<Self, LifetimeError> {
        match u32::try_from(seconds) {
            Ok(seconds @ 1..=Self::MAX_SECONDS) => Ok(Self(seconds)),
            _ => Err(LifetimeError),
        }
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        parse_scene_number(text, Self::MAX_SECONDS)
            .map(Self)
            .map_err(|_| LifetimeError)
    }
}

/// A lifetime out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of seconds from 1 to 2592000 (30 days)")]
pub struct LifetimeError;

/// Scene of a temporary code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TemporaryScene {
    /// `QR_SCENE`.
    Id(SceneId),
    /// `QR_STR_SCENE`.
    Text(SceneText),
}

/// Scene of a permanent code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PermanentScene {
    /// `QR_LIMIT_SCENE`.
    Id(PermanentId),
    /// `QR_LIMIT_STR_SCENE`.
    Text(SceneText),
}

/// A scene with its kind; it identifies a code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scene {
    /// Scene of a code that expires.
    Temporary(TemporaryScene),
    /// Scene of a code that never expires.
    Permanent(PermanentScene),
}

/// The value of a scene, without its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SceneValue<'a> {
    /// WeChat's `scene_id`.
    Id(u32),
    /// WeChat's `scene_str`.
    Text(&'a str),
}

impl SceneValue<'_> {
    /// The name of WeChat's field for such a value: `scene_id` or `scene_str`.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Id(_) => "scene_id",
            Self::Text(_) => "scene_str",
        }
    }
}

/// The number in digits, or the text itself. Together with its [`Kind`] it can be parsed by
/// [`Scene::new`].
impl fmt::Display for SceneValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Scene {
    /// Whether the scene is reserved for the service itself.
    pub fn is_reserved(&self) -> bool {
        let own = SceneText::RESERVED_PREFIX;
        matches!(self.value(), SceneValue::Text(text) if text.starts_with(own))
    }

    /// Parses a value that [`SceneValue`] has formatted.
    ///
    /// # Errors
    ///
    /// If the value is invalid for this kind.
    pub fn new(kind: Kind, value: &str) -> Result<Self, SceneError> {
        Ok(match kind {
            Kind::QrScene => Self::Temporary(TemporaryScene::Id(value.parse()?)),
            Kind::QrStrScene => Self::Temporary(TemporaryScene::Text(value.parse()?)),
            Kind::QrLimitScene => Self::Permanent(PermanentScene::Id(value.parse()?)),
            Kind::QrLimitStrScene => Self::Permanent(PermanentScene::Text(value.parse()?)),
        })
    }

    /// The kind, which is part of the code's identity.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Temporary(TemporaryScene::Id(_)) => Kind::QrScene,
            Self::Temporary(TemporaryScene::Text(_)) => Kind::QrStrScene,
            Self::Permanent(PermanentScene::Id(_)) => Kind::QrLimitScene,
            Self::Permanent(PermanentScene::Text(_)) => Kind::QrLimitStrScene,
        }
    }

    /// The value, without the kind.
    pub fn value(&self) -> SceneValue<'_> {
        match self {
            Self::Temporary(TemporaryScene::Id(id)) => SceneValue::Id(id.get()),
            Self::Permanent(PermanentScene::Id(id)) => SceneValue::Id(id.get()),
            Self::Temporary(TemporaryScene::Text(text))
            | Self::Permanent(PermanentScene::Text(text)) => SceneValue::Text(text.as_str()),
        }
    }
}

/// `KIND:VALUE`, such as `QR_SCENE:123`. Stable across versions: leases of replicas and pagination
/// cursors use it as a key.
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

impl FromStr for Scene {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let (kind, value) = text.split_once(':').ok_or(SceneError::UnknownKind)?;
        Self::new(kind.parse()?, value)
    }
}

/// Request for a code: the scene and, for a temporary code, the lifetime.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CodeSpec {
    /// A code that expires.
    Temporary {
        /// What the code is to carry.
        scene: TemporaryScene,
        /// The lifetime to request from WeChat.
        lifetime: Lifetime,
    },
    /// A code that never expires, from the account's stock of 100 000.
    Permanent {
        /// What the code is to carry.
        scene: PermanentScene,
    },
}

impl CodeSpec {
    /// The scene with its kind, which identifies the code.
    pub fn scene(&self) -> Scene {
        match self {
            Self::Temporary { scene, .. } => Scene::Temporary(scene.clone()),
            Self::Permanent { scene } => Scene::Permanent(scene.clone()),
        }
    }

    /// The requested lifetime; `None` for a permanent code.
    pub fn lifetime(&self) -> Option<Lifetime> {
        match self {
            Self::Temporary { lifetime, .. } => Some(*lifetime),
            Self::Permanent { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
