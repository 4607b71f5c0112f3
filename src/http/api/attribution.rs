//! The attribution of a scan to a code, as JSON.

use serde::Serialize;
use utoipa::ToSchema;
use wechat::scene::SceneValue;

use crate::http::i18n::lang::Lang;
use crate::statistics::Attribution;

/// Which code a scan is counted under, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CountedCode)]
pub(crate) struct AttributionBody {
    /// The scene, where it is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scene_id: Option<u32>,
    /// The scene, where it is a text, or where the code is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scene_str: Option<String>,
    /// Whether the code is permanent. Absent if the code is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permanent: Option<bool>,
    /// `false` where the scan carried a ticket that the service does not know: it is counted under
    /// the text of its scene, and under no code.
    pub(super) attributed: bool,
}

impl From<&Attribution> for AttributionBody {
    fn from(attribution: &Attribution) -> Self {
        let scene = match attribution {
            Attribution::Code(scene) => scene,
            Attribution::Unknown(text) => {
                return Self {
                    scene_id: None,
                    scene_str: Some(text.clone()),
                    permanent: None,
                    attributed: false,
                };
            }
        };
        let (scene_id, scene_str) = match scene.value() {
            SceneValue::Id(id) => (Some(id), None),
            SceneValue::Text(text) => (None, Some(text.to_owned())),
        };
        Self {
            scene_id,
            scene_str,
            permanent: Some(scene.kind().is_permanent()),
            attributed: true,
        }
    }
}

/// The name of a kind of code.
pub(crate) fn kind_name(permanent: Option<bool>, lang: Lang) -> &'static str {
    match permanent {
        Some(true) => lang.pick("永久", "permanent"),
        Some(false) => lang.pick("临时", "temporary"),
        None => lang.pick("未归属", "unattributed"),
    }
}
