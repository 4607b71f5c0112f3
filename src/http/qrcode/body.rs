//! A code as JSON, wherever one is answered.

use axum::http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::http::extract::caller::Access;
use crate::http::extract::query::Query;
use crate::http::html::site::Site;
use crate::http::html::whole_seconds;
use crate::scene::{Lifetime, Scene, SceneValue};
use crate::ticket::IssuedCode;

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
    /// Whether the code lives for ever.
    permanent: bool,
    /// WeChat's name of the kind.
    action_name: &'static str,
}

/// What WeChat gave for a scene, as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(crate) struct TicketBody {
    /// WeChat's ticket.
    ticket: String,
    /// The text inside the picture.
    url: String,
    /// Seconds of life left as of the header `Date`. Absent for a permanent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<i64>,
    /// When the code dies (RFC 3339, UTC). Absent for a permanent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// WeChat's picture.
    image_url: String,
    /// Our PNG, with the parameters that were given. Absent for a binding's code, which nobody else can ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    png_url: Option<String>,
    /// Our SVG, with the parameters that were given. Absent for a binding's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    svg_url: Option<String>,
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
            expires_at: expires_at.map(whole_seconds),
            image_url: site.image_url(&code.ticket),
            png_url: picture("/qrcode.png"),
            svg_url: picture("/qrcode.svg"),
        }
    }
}

/// The query of a link of ours to a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkQuery(Vec<(String, String)>);

impl LinkQuery {
    /// What was asked, shown in another way.
    pub(crate) fn of(query: &Query) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(query.picture_link_pairs().map(owned).collect())
    }

    /// By what a code carries, and the life to ask for; none for a permanent one.
    pub(crate) fn to(scene: &Scene, life: Option<Lifetime>) -> Self {
        let value = scene.value();
        let name = match value {
            SceneValue::Id(_) => "scene_id",
            SceneValue::Text(_) => "scene_str",
        };
        let mut pairs = vec![(name.to_owned(), value.to_string())];
        if scene.kind().is_permanent() {
            pairs.push(("permanent".to_owned(), "true".to_owned()));
        }
        if let Some(life) = life {
            pairs.push(("expire_seconds".to_owned(), life.as_secs().to_string()));
        }
        Self(pairs)
    }

    /// The same link as one that lets a visitor mint, where that takes a signature: for a caller who may mint, and a code
    /// that can die. A signature that is there stays.
    pub(crate) fn signed_for(mut self, caller: &Caller, access: &Access) -> Self {
        let has = |wanted| self.pairs().any(|pair| pair == wanted);
        let is_signed = self.pairs().any(|(name, _)| name == "sig");
        if access.signs_for(caller) && !has(("permanent", "true")) && !is_signed {
            let sig = access.sign(self.pairs());
            self.0.extend(sig.map(|sig| ("sig".to_owned(), sig)));
        }
        self
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The `Date` that `expire_seconds` counts from.
pub(crate) fn dated(now: Timestamp) -> [(HeaderName, HeaderValue); 1] {
    let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let value = HeaderValue::from_str(&text).expect("a date is ASCII");
    [(header::DATE, value)]
}
