//! A filter by scene, which may leave open whether the code is permanent.

use std::str::FromStr;

use wechat::scene::{
    Kind, PermanentScene, Scene, SceneError, SceneId, SceneText, SceneValue, TemporaryScene,
};

/// Selects the codes of one scene: `id:123` or `str:poster`, permanent and temporary. With a
/// [`KindFilter`] in front, such as `permanent:str:poster`, it selects one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneFilter {
    value: FilterValue,
    kind: Option<KindFilter>,
}

/// What the codes carry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FilterValue {
    Id(SceneId),
    Text(SceneText),
}

/// The one thing to which a scene filter is narrowed: permanent codes, temporary ones, or events of
/// an unknown ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindFilter {
    Permanent,
    Temporary,
    /// Of an unknown ticket, which only events have.
    Unattributed,
}

/// Why a filter by scene is not valid. The message names what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneFilterError {
    /// Neither `id:` nor `str:` in front.
    #[error(
        "must be id:NUMBER or str:TEXT, perhaps with permanent:, temporary: or unattributed: in front"
    )]
    Prefix,
    #[error("is not valid after the colon: {0}")]
    Scene(#[from] SceneError),
}

impl KindFilter {
    const ALL: [Self; 3] = [Self::Permanent, Self::Temporary, Self::Unattributed];

    /// The word for it in a filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Temporary => "temporary",
            Self::Unattributed => "unattributed",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl SceneFilter {
    /// The scene without its kind.
    pub fn value(&self) -> SceneValue<'_> {
        match &self.value {
            FilterValue::Id(id) => SceneValue::Id(id.get()),
            FilterValue::Text(text) => SceneValue::Text(text.as_str()),
        }
    }

    /// The kind of code, if only one is selected.
    pub fn kind(&self) -> Option<KindFilter> {
        self.kind
    }

    /// Whether codes of this kind are selected.
    pub fn may_be(&self, kind: Kind) -> bool {
        let is_number = matches!(kind, Kind::QrScene | Kind::QrLimitScene);
        let is_kind = match self.kind {
            None => true,
            Some(KindFilter::Permanent) => kind.is_permanent(),
            Some(KindFilter::Temporary) => !kind.is_permanent(),
            Some(KindFilter::Unattributed) => false,
        };
        is_kind && is_number == matches!(self.value, FilterValue::Id(_))
    }

    /// Whether events of unknown tickets are selected.
    pub fn may_be_unattributed(&self) -> bool {
        matches!(self.kind, None | Some(KindFilter::Unattributed))
    }
}

impl FromStr for SceneFilter {
    type Err = SceneFilterError;

    fn from_str(text: &str) -> Result<Self, SceneFilterError> {
        let of_kind = text
            .split_once(':')
            .and_then(|(name, scene)| Some((KindFilter::named(name)?, scene)));
        let (kind, scene) = match of_kind {
            Some((kind, scene)) => (Some(kind), scene),
            None => (None, text),
        };
        let value = match scene.split_once(':') {
            Some(("id", number)) => FilterValue::Id(number.parse()?),
            Some(("str", text)) => FilterValue::Text(text.parse()?),
            _ => return Err(SceneFilterError::Prefix),
        };
        Ok(Self { value, kind })
    }
}

impl From<&Scene> for SceneFilter {
    fn from(scene: &Scene) -> Self {
        let value = match scene {
            Scene::Temporary(TemporaryScene::Id(id)) => FilterValue::Id(*id),
            Scene::Permanent(PermanentScene::Id(id)) => FilterValue::Id((*id).into()),
            Scene::Temporary(TemporaryScene::Text(text))
            | Scene::Permanent(PermanentScene::Text(text)) => FilterValue::Text(text.clone()),
        };
        Self { value, kind: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_filter_says_whether_it_is_a_number() {
        for (text, want) in [
            ("id:123", Some(("scene_id", "123"))),
            ("str:123", Some(("scene_str", "123"))),
            ("str:a:b", Some(("scene_str", "a:b"))),
            (
                "str:permanent:str:b",
                Some(("scene_str", "permanent:str:b")),
            ),
            ("permanent:str:a:b", Some(("scene_str", "a:b"))),
            ("temporary:id:123", Some(("scene_id", "123"))),
            ("unattributed:str:7", Some(("scene_str", "7"))),
            ("id:0", None),
            ("id:4294967296", None),
            ("id:", None),
            ("str:", None),
            ("str:wxqr.x", None),
            ("123", None),
            ("text:123", None),
            ("permanent:123", None),
            ("permanent:permanent:id:123", None),
        ] {
            let got = text.parse::<SceneFilter>().ok();
            let got = got.map(|got| (got.value().field(), got.value().to_string()));
            let want = want.map(|(parameter, value)| (parameter, value.to_owned()));
            assert_eq!(got, want, "input {text:?}");
        }
    }

    #[test]
    fn a_kind_selects_one_code_of_a_scene() {
        use Kind::{QrLimitScene, QrLimitStrScene, QrScene, QrStrScene};
        for (text, want, may_be_unattributed) in [
            ("id:7", &[QrScene, QrLimitScene][..], true),
            ("str:7", &[QrStrScene, QrLimitStrScene], true),
            ("permanent:id:7", &[QrLimitScene], false),
            ("permanent:str:7", &[QrLimitStrScene], false),
            ("temporary:id:7", &[QrScene], false),
            ("temporary:str:7", &[QrStrScene], false),
            ("unattributed:str:7", &[], true),
        ] {
            let filter: SceneFilter = text.parse().unwrap();
            for kind in Kind::ALL {
                assert_eq!(filter.may_be(kind), want.contains(&kind), "{text} {kind:?}");
            }
            assert_eq!(filter.may_be_unattributed(), may_be_unattributed, "{text}");
        }
    }

    #[test]
    fn a_permanent_and_a_temporary_code_have_one_filter() {
        for (kinds, want) in [
            (["QR_SCENE:7", "QR_LIMIT_SCENE:7"], "id:7"),
            (["QR_STR_SCENE:7", "QR_LIMIT_STR_SCENE:7"], "str:7"),
        ] {
            for scene in kinds {
                let scene: Scene = scene.parse().unwrap();
                assert_eq!(SceneFilter::from(&scene), want.parse().unwrap(), "{scene}");
            }
        }
    }
}
