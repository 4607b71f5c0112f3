//! What a code carries and how long it is asked to live. A value of these types is valid: WeChat does not check for us
//! (it clamps numbers, and accepts malformed bodies), so nothing else is ever sent to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// WeChat's four `action_name`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Temporary, carries a number.
    QrScene,
    /// Temporary, carries a text.
    QrStrScene,
    /// Permanent, carries a number.
    QrLimitScene,
    /// Permanent, carries a text.
    QrLimitStrScene,
}

impl Kind {
    /// The name as WeChat spells it.
    pub fn action_name(self) -> &'static str {
        match self {
            Self::QrScene => "QR_SCENE",
            Self::QrStrScene => "QR_STR_SCENE",
            Self::QrLimitScene => "QR_LIMIT_SCENE",
            Self::QrLimitStrScene => "QR_LIMIT_STR_SCENE",
        }
    }

    /// Whether codes of this kind live for ever and count against the account's stock.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::QrLimitScene | Self::QrLimitStrScene)
    }
}

impl FromStr for Kind {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let kinds = [
            Self::QrScene,
            Self::QrStrScene,
            Self::QrLimitScene,
            Self::QrLimitStrScene,
        ];
        let named = kinds.into_iter().find(|kind| kind.action_name() == text);
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

    /// The number.
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

    /// The number.
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

/// Reads plain decimal digits. One number has one spelling, so that one scene has one link, one signature and one code.
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

/// Scene text: 1 to 64 characters, no control characters, not beginning with our own prefix `wxqr.`.
///
/// WeChat's document says "length 1 to 64" without a unit; characters are what its users count. A text that WeChat
/// counts differently comes back as its errcode 40053.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SceneText(String);

impl SceneText {
    /// The most characters a scene text may have.
    pub const MAX_CHARS: usize = 64;
    /// Scene texts that begin so belong to the service itself.
    pub const RESERVED_PREFIX: &'static str = "wxqr.";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text of the service's own, which nobody can ask for from outside.
    pub(crate) fn reserved(name: &str) -> Self {
        Self(format!("{}{name}", Self::RESERVED_PREFIX))
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
        Ok(Self(text.to_owned()))
    }
}

/// Why a scene was not accepted. The message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// Something else than decimal digits.
    #[error(
        "must be a whole number from 1 to {max}, written in digits only; use scene_str for a text"
    )]
    NotANumber {
        /// The largest accepted number.
        max: u32,
    },
    /// Digits that begin with a zero.
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
    /// An empty text, or one that is too long.
    #[error("must have 1 to 64 characters, but has {got}")]
    Length {
        /// How many characters came.
        got: usize,
    },
    /// A text with a control character in it.
    #[error("must not contain control characters, such as a line break or a tab")]
    ControlCharacter,
    /// Not one of WeChat's four kinds.
    #[error("must be QR_SCENE, QR_STR_SCENE, QR_LIMIT_SCENE or QR_LIMIT_STR_SCENE")]
    UnknownKind,
    /// A text in the name space of the service.
    #[error("must not begin with \"wxqr.\", which the service keeps for itself")]
    Reserved,
}

/// How long a temporary code is asked to live: 1 second to 30 days (2 592 000 seconds, WeChat's documented bound).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(u32);

impl Lifetime {
    /// The longest life WeChat grants, in seconds.
    pub const MAX_SECONDS: u32 = 2_592_000;

    /// In whole seconds, as WeChat takes it.
    pub fn as_secs(self) -> u32 {
        self.0
    }

    /// As a duration.
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

/// The life asked for is not one WeChat can grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of seconds from 1 to 2592000 (30 days)")]
pub struct LifetimeError;

/// What a temporary code carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TemporaryScene {
    /// `QR_SCENE`.
    Id(SceneId),
    /// `QR_STR_SCENE`.
    Text(SceneText),
}

/// What a permanent code carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PermanentScene {
    /// `QR_LIMIT_SCENE`.
    Id(PermanentId),
    /// `QR_LIMIT_STR_SCENE`.
    Text(SceneText),
}

/// What a code carries, together with its kind: there is one code for each value of this type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scene {
    /// A code that dies.
    Temporary(TemporaryScene),
    /// A code that does not.
    Permanent(PermanentScene),
}

/// The bare parameter of a scene, without its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SceneValue<'a> {
    /// WeChat's `scene_id`.
    Id(u32),
    /// WeChat's `scene_str`.
    Text(&'a str),
}

/// The number in digits, or the text as it is: with its [`Kind`] it makes the scene again, see [`Scene::new`].
impl fmt::Display for SceneValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Scene {
    /// Whether it belongs to the service itself.
    pub fn is_reserved(&self) -> bool {
        let own = SceneText::RESERVED_PREFIX;
        matches!(self.value(), SceneValue::Text(text) if text.starts_with(own))
    }

    /// The scene with this value, as [`SceneValue`] writes it.
    ///
    /// # Errors
    ///
    /// When there is no such scene of that kind.
    pub fn new(kind: Kind, value: &str) -> Result<Self, SceneError> {
        Ok(match kind {
            Kind::QrScene => Self::Temporary(TemporaryScene::Id(value.parse()?)),
            Kind::QrStrScene => Self::Temporary(TemporaryScene::Text(value.parse()?)),
            Kind::QrLimitScene => Self::Permanent(PermanentScene::Id(value.parse()?)),
            Kind::QrLimitStrScene => Self::Permanent(PermanentScene::Text(value.parse()?)),
        })
    }

    /// Which of WeChat's four kinds it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Temporary(TemporaryScene::Id(_)) => Kind::QrScene,
            Self::Temporary(TemporaryScene::Text(_)) => Kind::QrStrScene,
            Self::Permanent(PermanentScene::Id(_)) => Kind::QrLimitScene,
            Self::Permanent(PermanentScene::Text(_)) => Kind::QrLimitStrScene,
        }
    }

    /// The parameter itself.
    pub fn value(&self) -> SceneValue<'_> {
        match self {
            Self::Temporary(TemporaryScene::Id(id)) => SceneValue::Id(id.get()),
            Self::Permanent(PermanentScene::Id(id)) => SceneValue::Id(id.get()),
            Self::Temporary(TemporaryScene::Text(text))
            | Self::Permanent(PermanentScene::Text(text)) => SceneValue::Text(text.as_str()),
        }
    }
}

/// `KIND:VALUE`, such as `QR_SCENE:123`. The same in every build: leases of replicas and cursors of lists are named so.
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

/// A wish for a code: what it carries and, where it dies, how long it should live.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CodeSpec {
    /// A code that dies.
    Temporary {
        /// What it carries.
        scene: TemporaryScene,
        /// The life to ask WeChat for.
        lifetime: Lifetime,
    },
    /// A code that does not, from the account's stock of 100 000.
    Permanent {
        /// What it carries.
        scene: PermanentScene,
    },
}

impl CodeSpec {
    /// The scene, kind included: the name under which the code is known.
    pub fn scene(&self) -> Scene {
        match self {
            Self::Temporary { scene, .. } => Scene::Temporary(scene.clone()),
            Self::Permanent { scene } => Scene::Permanent(scene.clone()),
        }
    }

    /// The life asked for; none for a permanent code.
    pub fn lifetime(&self) -> Option<Lifetime> {
        match self {
            Self::Temporary { lifetime, .. } => Some(*lifetime),
            Self::Permanent { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
