//! The body of a webhook. Its events are those of `/api/scans`, with label and group.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use wechat::event::EventKind;
use wechat::openid::OpenId;
use wechat::scene::{Scene, SceneValue};

use super::batch::EventBatch;
use crate::channels::{Channel, KnownScene};
use crate::statistics::{Attribution, StoredEvent};

/// Label and group of each scene that has a name.
pub(super) type SceneNames = HashMap<Scene, KnownScene>;

/// Whether events show openids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Openids {
    Shown,
    Hidden,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    events: Vec<WebhookEvent<'a>>,
    /// Of `/api/scans`, after the last event.
    cursor: String,
}

#[derive(Debug, Serialize)]
struct WebhookEvent<'a> {
    id: &'a str,
    at: Timestamp,
    event: &'static str,
    #[serde(flatten)]
    code: Option<WebhookCode<'a>>,
    person: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<&'a str>,
}

#[derive(Debug, Default, Serialize)]
struct WebhookCode<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_str: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permanent: Option<bool>,
    attributed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

/// Collects the scenes of a batch, each once, whose names its body needs.
pub(super) fn scenes(batch: &EventBatch) -> Vec<Scene> {
    let mut scenes: Vec<Scene> = batch.events.iter().filter_map(scene).cloned().collect();
    scenes.sort_unstable();
    scenes.dedup();
    scenes
}

fn scene(event: &StoredEvent) -> Option<&Scene> {
    match event.attribution.as_ref()? {
        Attribution::Code(scene) => Some(scene),
        Attribution::Unknown(_) => None,
    }
}

/// Writes the body of a batch, as JSON.
pub(super) fn json(
    batch: &EventBatch,
    names: &SceneNames,
    openids: Openids,
    now: Timestamp,
) -> Vec<u8> {
    let events = batch.events.iter();
    let body = Body {
        r#type: "scans",
        timestamp: second(now),
        data: Data {
            events: events.map(|event| shown(event, names, openids)).collect(),
            cursor: batch.end.to_string(),
        },
    };
    serde_json::to_vec(&body).expect("texts and numbers are JSON")
}

/// Truncates to the second, as everywhere else.
fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a second of a timestamp is one")
}

fn shown<'a>(event: &'a StoredEvent, names: &'a SceneNames, openids: Openids) -> WebhookEvent<'a> {
    let openid = event.openid.as_ref().filter(|_| openids == Openids::Shown);
    let channel = scene(event).and_then(|scene| names.get(scene));
    let channel = channel.map(|known| &known.channel);
    WebhookEvent {
        id: &event.id,
        at: second(event.at),
        event: match event.kind {
            EventKind::Subscribe => "subscribe",
            EventKind::Scan => "scan",
            EventKind::Unsubscribe => "unsubscribe",
        },
        code: event
            .attribution
            .as_ref()
            .map(|code| shown_code(code, channel)),
        person: &event.person,
        openid: openid.map(OpenId::as_str),
    }
}

fn shown_code<'a>(code: &'a Attribution, channel: Option<&'a Channel>) -> WebhookCode<'a> {
    let scene = match code {
        Attribution::Code(scene) => scene,
        Attribution::Unknown(text) => {
            return WebhookCode {
                scene_str: Some(text),
                ..WebhookCode::default()
            };
        }
    };
    let (scene_id, scene_str) = match scene.value() {
        SceneValue::Id(id) => (Some(id), None),
        SceneValue::Text(text) => (None, Some(text)),
    };
    WebhookCode {
        scene_id,
        scene_str,
        permanent: Some(scene.kind().is_permanent()),
        attributed: true,
        label: channel.and_then(|channel| channel.label.as_deref()),
        group: channel.and_then(|channel| channel.group.as_deref()),
    }
}
