//! A filter by scene that leaves open whether the code is permanent.

use std::str::FromStr;

use wechat::scene::{
    Kind, PermanentScene, Scene, SceneError, SceneId, SceneText, SceneValue, TemporaryScene,
};

/// Selects the codes of one scene, permanent and temporary: `id:123` or `str:poster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SceneFilter {
    /// Codes that carry this number.
    Id(SceneId),
    /// Codes that carry this text.
    Text(SceneText),
}

/// Why a filter by scene is not valid. The message names what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneFilterError {
    /// Neither `id:` nor `str:` in front.
    #[error("must be id:NUMBER or str:TEXT")]
    Prefix,
    /// No such scene.
    #[error("is not valid after the colon: {0}")]
    Scene(#[from] SceneError),
}

impl SceneFilter {
    /// The scene without its kind.
    pub fn value(&self) -> SceneValue<'_> {
        match self {
            Self::Id(id) => SceneValue::Id(id.get()),
            Self::Text(text) => SceneValue::Text(text.as_str()),
        }
    }

    /// Whether codes of this kind are selected.
    pub fn may_be(&self, kind: Kind) -> bool {
        let is_number = matches!(kind, Kind::QrScene | Kind::QrLimitScene);
        is_number == matches!(self, Self::Id(_))
    }
}

impl FromStr for SceneFilter {
    type Err = SceneFilterError;

    fn from_str(text: &str) -> Result<Self, SceneFilterError> {
        match text.split_once(':') {
            Some(("id", number)) => Ok(Self::Id(number.parse()?)),
            Some(("str", text)) => Ok(Self::Text(text.parse()?)),
            _ => Err(SceneFilterError::Prefix),
        }
    }
}

impl From<&Scene> for SceneFilter {
    fn from(scene: &Scene) -> Self {
        match scene {
            Scene::Temporary(TemporaryScene::Id(id)) => Self::Id(*id),
            Scene::Permanent(PermanentScene::Id(id)) => Self::Id((*id).into()),
            Scene::Temporary(TemporaryScene::Text(text))
            | Scene::Permanent(PermanentScene::Text(text)) => Self::Text(text.clone()),
        }
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
            ("id:0", None),
            ("id:4294967296", None),
            ("id:", None),
            ("str:", None),
            ("str:wxqr.x", None),
            ("123", None),
            ("text:123", None),
        ] {
            let got = text.parse::<SceneFilter>().ok();
            let got = got.map(|got| (got.value().field(), got.value().to_string()));
            let want = want.map(|(parameter, value)| (parameter, value.to_owned()));
            assert_eq!(got, want, "input {text:?}");
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
