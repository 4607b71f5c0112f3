//! A code as JSON.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wechat::scene::{Scene, SceneValue};
use wechat::ticket::IssuedCode;

use crate::access::Caller;
use crate::http::qrcode::link::{LinkQuery, LinkSigner};
use crate::http::site::Site;
use crate::http::time_format::rfc3339;

/// What a code carries, as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scene)]
pub(crate) struct SceneBody {
    /// The scene, where it is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_id: Option<u32>,
    /// The scene, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_str: Option<String>,
    /// Whether the code is permanent.
    permanent: bool,
    /// WeChat's name of the kind.
    action_name: &'static str,
}

/// What WeChat gave for a scene, as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(crate) struct TicketBody {
    /// WeChat's ticket.
    pub(crate) ticket: String,
    /// The text inside the picture.
    pub(crate) url: String,
    /// Seconds of life left as of the header `Date`. Absent for a permanent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<i64>,
    /// When the code expires (RFC 3339, UTC). Absent for a permanent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// WeChat's picture.
    pub(crate) image_url: String,
    /// Our PNG, with the parameters that were given. Absent for a binding's code, which
    /// has no link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) png_url: Option<String>,
    /// Our SVG, with the parameters that were given. Absent for a binding's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) svg_url: Option<String>,
}

/// A code, as JSON. WeChat's own names are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Code)]
pub(crate) struct CodeBody {
    #[serde(flatten)]
    pub(crate) scene: SceneBody,
    #[serde(flatten)]
    pub(crate) ticket: TicketBody,
}

impl SceneBody {
    pub(crate) fn new(scene: &Scene) -> Self {
        let (scene_id, scene_str) = match scene.value() {
            SceneValue::Id(id) => (Some(id), None),
            SceneValue::Text(text) => (None, Some(text.to_owned())),
        };
        let kind = scene.kind();
        Self {
            scene_id,
            scene_str,
            permanent: kind.is_permanent(),
            action_name: kind.action_name(),
        }
    }
}

impl TicketBody {
    pub(crate) fn new(
        site: &Site,
        code: &IssuedCode,
        now: Timestamp,
        link: Option<&LinkQuery>,
    ) -> Self {
        let picture = |path| link.map(|link| site.link(path, link.pairs()));
        let expires_at = code.expires_at();
        Self {
            ticket: code.ticket.as_str().to_owned(),
            url: code.url.as_str().to_owned(),
            expire_seconds: expires_at.map(|end| (end.as_second() - now.as_second()).max(0)),
            expires_at: expires_at.map(rfc3339),
            image_url: site.image_url(&code.ticket),
            png_url: picture("/qrcode.png"),
            svg_url: picture("/qrcode.svg"),
        }
    }
}

/// Writes codes as JSON for callers of `/api`.
#[derive(Debug, Clone)]
pub(crate) struct CodePresenter {
    pub(crate) site: Arc<Site>,
    pub(crate) signer: LinkSigner,
}

impl CodePresenter {
    /// The ticket of a code, with a link that is signed if the caller may mint.
    pub(crate) fn ticket(
        &self,
        code: &IssuedCode,
        link: LinkQuery,
        caller: &Caller,
        now: Timestamp,
    ) -> TicketBody {
        let link = self.signer.signed_for(caller, link);
        TicketBody::new(&self.site, code, now, Some(&link))
    }
}
