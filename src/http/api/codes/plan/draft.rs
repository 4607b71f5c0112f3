//! A row of a file on its way to a request for a code.

use channel_files::{ChannelRow, Column, scene_candidates};
use serde_json::{Map, Value, json};
use wechat::scene::{CodeSpec, Kind, Lifetime, Scene, SceneId, SceneValue};

use super::query::Defaults;
use super::words;
use crate::channels::KnownScene;
use crate::http::api::codes::new_code::CheckedNewCode;
use crate::http::extract::json::JsonBody;
use crate::http::problem::Problem;
use crate::http::qrcode::issue::refusal_of_new;

/// A row, with the body of `POST /api/codes` that it stands for.
pub(super) struct Draft {
    pub(super) line: u32,
    pub(super) request: Map<String, Value>,
    pub(super) trimmed: Vec<Column>,
    /// The checked body, once the row has a scene, or why it is invalid.
    pub(super) checked: Result<Option<CheckedNewCode>, Problem>,
    permanent: bool,
    /// The proposed scenes that are left, the last one first.
    candidates: Vec<String>,
}

impl Draft {
    /// A row without kind has the default one, unless it has a lifetime.
    pub(super) fn of(row: ChannelRow, defaults: &Defaults) -> Self {
        let permanent = row
            .permanent
            .unwrap_or(defaults.permanent && row.expire_seconds.is_none());
        let default_expire = defaults.expire_seconds.filter(|_| !permanent);
        let mut draft = Self {
            line: row.line,
            request: Map::new(),
            trimmed: row.trimmed,
            checked: row
                .fault
                .map_or(Ok(None), |fault| Err(words::row_fault(fault))),
            permanent,
            candidates: Vec::new(),
        };
        draft.set("permanent", Some(permanent));
        draft.set("label", row.label);
        draft.set("group", row.group.or_else(|| defaults.group.clone()));
        draft.set_reply(row.reply, row.reply_news);
        draft.set("expire_seconds", row.expire_seconds.or(default_expire));
        draft.set("scene_str", row.scene_str);
        if let Some(digits) = row.scene_id {
            draft.set_number(&digits);
        }
        if !draft.has_scene() && draft.label().is_none() {
            draft.refuse(words::nothing_given());
        }
        draft
    }

    fn set(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.request.insert(field.to_owned(), value.into());
        }
    }

    /// A text, or the JSON of a card. What the card has is checked with the whole row.
    fn set_reply(&mut self, text: Option<String>, card: Option<String>) {
        let card = card.map(|card| serde_json::from_str::<Value>(&card));
        match (text, card) {
            (None, None) => {}
            (Some(text), None) => self.set("reply", Some(json!({ "text": text }))),
            (None, Some(Ok(card))) => self.set("reply", Some(json!({ "news": card }))),
            (Some(_), Some(_)) => self.refuse(words::two_replies()),
            (None, Some(Err(_))) => self.refuse(words::no_card()),
        }
    }

    /// Refuses the row, unless it is refused for something before.
    fn refuse(&mut self, problem: Problem) {
        if self.checked.is_ok() {
            self.checked = Err(problem);
        }
    }

    fn set_number(&mut self, digits: &str) {
        match digits.parse::<SceneId>() {
            Ok(id) => self.set("scene_id", Some(id.get())),
            Err(error) => self.refuse(Problem::invalid_parameter("scene_id", error)),
        }
    }

    fn has_scene(&self) -> bool {
        ["scene_id", "scene_str"]
            .iter()
            .any(|field| self.request.contains_key(*field))
    }

    pub(super) fn label(&self) -> Option<&str> {
        self.request.get("label").and_then(Value::as_str)
    }

    /// The name for which a scene is needed, with whether its code is permanent.
    pub(super) fn nameless_scene(&self) -> Option<(&str, bool)> {
        let is_open = matches!(self.checked, Ok(None)) && !self.has_scene();
        let label = self.label().filter(|_| is_open)?;
        Some((label, self.permanent))
    }

    /// Takes the scene that its name has.
    pub(super) fn take_scene(&mut self, scene: &Scene) {
        match scene.value() {
            SceneValue::Id(id) => self.set("scene_id", Some(id)),
            SceneValue::Text(text) => self.set("scene_str", Some(text)),
        }
    }

    /// The next proposed scene; none if the row needs none.
    pub(super) fn propose(&mut self) -> Option<Scene> {
        let (label, permanent) = self.nameless_scene()?;
        if self.candidates.is_empty() {
            self.candidates = scene_candidates(label);
            self.candidates.reverse();
        }
        let kind = if permanent {
            Kind::QrLimitStrScene
        } else {
            Kind::QrStrScene
        };
        let candidate = self.candidates.pop()?;
        Scene::new(kind, &candidate).ok()
    }

    /// Whether no further scene can be proposed. The last one has a hash that no other name has.
    pub(super) fn is_at_last_proposal(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Has the request keep the temporary code that there is, since names cost no code.
    pub(super) fn keep_code(&mut self) {
        if !self.permanent {
            self.set("renew", Some(false));
        }
    }

    /// Checks the row as `POST /api/codes` would.
    pub(super) fn check(&mut self, default_expire: Lifetime) {
        if !matches!(self.checked, Ok(None)) || !self.has_scene() {
            return;
        }
        let body = JsonBody::Object {
            fields: self.request.clone(),
            twice: None,
        };
        self.checked = CheckedNewCode::of(body, default_expire).map(Some);
    }

    /// The request that it stands for.
    pub(super) fn spec(&self) -> Option<&CodeSpec> {
        let checked = self.checked.as_ref().ok()?.as_ref();
        checked.map(|checked| &checked.spec)
    }

    /// Why a permanent code for it would be refused as a probable mistake, if it is new.
    pub(super) fn mistake(&self) -> Option<Problem> {
        let checked = self.checked.as_ref().ok()?.as_ref()?;
        refusal_of_new(&checked.spec, checked.change.given_names())
    }

    /// Whether a scene has the name, the group and the reply that the row gives.
    pub(super) fn is_met_by(&self, known: &KnownScene) -> bool {
        let Ok(Some(CheckedNewCode { change, .. })) = &self.checked else {
            return false;
        };
        change.label.is_met_by(known.channel.label.as_ref())
            && change.group.is_met_by(known.channel.group.as_ref())
            && change.reply.is_met_by(known.reply.as_ref())
    }
}
