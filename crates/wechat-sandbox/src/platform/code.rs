//! The codes: how `qrcode/create` reads a request, and the created codes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::errcode::Errcode;
use crate::platform::ticket;
use crate::random;

/// Lifetime of a temporary code whose request names none, in seconds.
const DEFAULT_LIFE: i64 = 60;
/// The longest lifetime: 30 days, in seconds.
const MAX_LIFE: i64 = 2_592_000;
/// The largest scene number of a permanent code.
const MAX_PERMANENT_ID: u32 = 100_000;
/// The longest scene text of a permanent code. WeChat does not say in which unit; here it is
/// characters.
const MAX_PERMANENT_TEXT: usize = 64;
/// The longest scene text that the sandbox keeps for a temporary code. WeChat's bound is not known;
/// ours is for memory.
const MAX_TEMPORARY_TEXT: usize = 512;
/// How many temporary codes are kept. Beyond it, the one that expires first is evicted.
const MAX_TEMPORARY_CODES: usize = 100_000;
/// How many codes the front page lists.
const LISTED_CODES: usize = 20;
/// Length of the id in a code's url, `02` included, as WeChat's have had since 2017.
const ID_LENGTH: usize = 22;

/// WeChat's four `action_name`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionName {
    Scene,
    StrScene,
    LimitScene,
    LimitStrScene,
}

impl ActionName {
    fn from_name(name: &str) -> Option<Self> {
        [
            Self::Scene,
            Self::StrScene,
            Self::LimitScene,
            Self::LimitStrScene,
        ]
        .into_iter()
        .find(|action| action.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scene => "QR_SCENE",
            Self::StrScene => "QR_STR_SCENE",
            Self::LimitScene => "QR_LIMIT_SCENE",
            Self::LimitStrScene => "QR_LIMIT_STR_SCENE",
        }
    }

    /// Whether its codes never expire.
    pub(crate) fn is_permanent(self) -> bool {
        matches!(self, Self::LimitScene | Self::LimitStrScene)
    }
}

/// The parameter that a code carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scene {
    Id(u32),
    Text(String),
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A request of `qrcode/create`, read as leniently as WeChat reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateRequest {
    pub(crate) action: ActionName,
    pub(crate) scene: Scene,
    /// In seconds; `None` for a permanent code.
    pub(crate) life: Option<i64>,
}

impl CreateRequest {
    /// Reads a body, whatever its Content-Type was.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Errcode> {
        if body.trim_ascii().is_empty() {
            return Err(Errcode::EMPTY_BODY);
        }
        let body: Value = serde_json::from_slice(body).map_err(|_| Errcode::BAD_JSON)?;
        if !body.is_object() {
            return Err(Errcode::BAD_JSON);
        }
        let action = body["action_name"]
            .as_str()
            .and_then(ActionName::from_name)
            .ok_or(Errcode::INVALID_ACTION_NAME)?;
        let scene = &body["action_info"]["scene"];
        Ok(Self {
            action,
            scene: match action {
                ActionName::Scene => temporary_id(&scene["scene_id"]),
                ActionName::LimitScene => permanent_id(&scene["scene_id"])?,
                ActionName::StrScene => temporary_text(&scene["scene_str"])?,
                ActionName::LimitStrScene => permanent_text(&scene["scene_str"])?,
            },
            life: (!action.is_permanent()).then(|| life(&body["expire_seconds"])),
        })
    }
}

/// A missing number is scene 0, as in WeChat, where a malformed body makes a working code; one that
/// does not fit is the largest.
fn temporary_id(value: &Value) -> Scene {
    match whole_number(value) {
        None => Scene::Id(0),
        Some(number) => Scene::Id(u32::try_from(number).unwrap_or(u32::MAX)),
    }
}

fn permanent_id(value: &Value) -> Result<Scene, Errcode> {
    match whole_number(value) {
        None => Ok(Scene::Id(0)),
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_PERMANENT_ID).contains(number))
            .map(Scene::Id)
            .ok_or(Errcode::INVALID_ACTION_INFO),
    }
}

fn temporary_text(value: &Value) -> Result<Scene, Errcode> {
    match value.as_str() {
        None | Some("") => Ok(Scene::Id(0)),
        Some(text) if text.chars().count() <= MAX_TEMPORARY_TEXT => {
            Ok(Scene::Text(text.to_owned()))
        }
        Some(_) => Err(Errcode::INVALID_ACTION_INFO),
    }
}

fn permanent_text(value: &Value) -> Result<Scene, Errcode> {
    value
        .as_str()
        .filter(|text| (1..=MAX_PERMANENT_TEXT).contains(&text.chars().count()))
        .map(|text| Scene::Text(text.to_owned()))
        .ok_or(Errcode::INVALID_ACTION_INFO)
}

/// Reads a lifetime: the default for anything but a positive number, and cut if it is too long.
/// Neither is documented.
fn life(value: &Value) -> i64 {
    match whole_number(value) {
        Some(seconds) if seconds > 0 => seconds.min(MAX_LIFE),
        _ => DEFAULT_LIFE,
    }
}

/// Takes numbers and texts of digits, as loosely typed clients send them. Beyond 64 bits a number
/// is the largest one; a fraction is none.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let huge = number.as_f64().is_some_and(|number| number > 1e18);
            huge.then_some(i64::MAX)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A created code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) app_id: String,
    pub(crate) request: CreateRequest,
    /// The text of the QR code.
    pub(crate) url: String,
    pub(crate) ticket: String,
    /// `None` for a permanent code.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Code {
    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

/// Every unexpired code, by the id in its URL and by its ticket.
#[derive(Debug, Default)]
pub(crate) struct CodeStore {
    codes: HashMap<String, Code>,
    ids_by_ticket: HashMap<String, String>,
    /// The temporary ones, the first to expire first.
    expiries: BTreeSet<(Timestamp, String)>,
    /// The ids of the last codes, newest first.
    recent: VecDeque<String>,
}

impl CodeStore {
    /// Creates a code whose URL is `{base}/q/ID`.
    pub(crate) fn create(
        &mut self,
        app_id: &str,
        request: CreateRequest,
        base: &str,
        now: Timestamp,
    ) -> Code {
        let id = format!("02{}", random::url_safe(ID_LENGTH - 2));
        let url = format!("{base}/q/{id}");
        let contents = ticket::TicketContents {
            url: &url,
            created_at: u32::try_from(now.as_second()).unwrap_or(u32::MAX),
            life: request
                .life
                .map_or(0, |life| u32::try_from(life).unwrap_or(u32::MAX)),
        };
        let code = Code {
            app_id: app_id.to_owned(),
            ticket: ticket::encode(contents, random::bytes()),
            url,
            expires_at: request
                .life
                .map(|life| now + SignedDuration::from_secs(life)),
            request,
        };
        self.evict(now);
        if let Some(at) = code.expires_at {
            self.expiries.insert((at, id.clone()));
        }
        self.ids_by_ticket.insert(code.ticket.clone(), id.clone());
        self.recent.push_front(id.clone());
        self.recent.truncate(LISTED_CODES);
        self.codes.insert(id, code.clone());
        code
    }

    /// Finds the unexpired code of a ticket.
    pub(crate) fn by_ticket(&self, ticket: &str, now: Timestamp) -> Option<&Code> {
        self.by_id(self.ids_by_ticket.get(ticket)?, now)
    }

    /// Finds the unexpired code whose URL ends in `id`.
    pub(crate) fn by_id(&self, id: &str, now: Timestamp) -> Option<&Code> {
        self.codes.get(id).filter(|code| code.is_alive(now))
    }

    /// The last [`LISTED_CODES`] codes that have not expired, with the ids of their URLs; newest
    /// first.
    pub(crate) fn recent(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Code)> {
        let ids = self.recent.iter();
        ids.filter_map(move |id| Some((id.as_str(), self.by_id(id, now)?)))
    }

    /// Removes expired codes, and makes room for one more.
    fn evict(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.expiries.first()
            && (*at <= now || self.expiries.len() >= MAX_TEMPORARY_CODES)
            && let Some((_, id)) = self.expiries.pop_first()
        {
            if let Some(code) = self.codes.remove(&id) {
                self.ids_by_ticket.remove(&code.ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn request(life: Option<i64>) -> CreateRequest {
        CreateRequest {
            action: if life.is_some() {
                ActionName::Scene
            } else {
                ActionName::LimitScene
            },
            scene: Scene::Id(7),
            life,
        }
    }

    #[test]
    fn a_create_request_is_read_as_leniently_as_wechat_reads_it() {
        let text = |length: usize| "展".repeat(length);
        let bad = Err(Errcode::INVALID_ACTION_INFO);
        for (action, info, want) in [
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": 123}}),
                Ok(Scene::Id(123)),
            ),
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": "123"}}),
                Ok(Scene::Id(123)),
            ),
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": u32::MAX}}),
                Ok(Scene::Id(u32::MAX)),
            ),
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": 4_294_967_296_u64}}),
                Ok(Scene::Id(u32::MAX)),
            ),
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": u64::MAX}}),
                Ok(Scene::Id(u32::MAX)),
            ),
            (
                "QR_SCENE",
                json!({"scene": {"scene_id": -1}}),
                Ok(Scene::Id(u32::MAX)),
            ),
            ("QR_SCENE", json!({"scene_id": 123}), Ok(Scene::Id(0))),
            ("QR_SCENE", json!(null), Ok(Scene::Id(0))),
            (
                "QR_STR_SCENE",
                json!({"scene": {"scene_str": "0"}}),
                Ok(Scene::Text("0".to_owned())),
            ),
            (
                "QR_STR_SCENE",
                json!({"scene": {"scene_str": text(65)}}),
                Ok(Scene::Text(text(65))),
            ),
            (
                "QR_STR_SCENE",
                json!({"scene": {"scene_str": text(513)}}),
                bad.clone(),
            ),
            ("QR_STR_SCENE", json!({"scene_str": "a"}), Ok(Scene::Id(0))),
            (
                "QR_LIMIT_SCENE",
                json!({"scene": {"scene_id": 100_000}}),
                Ok(Scene::Id(100_000)),
            ),
            (
                "QR_LIMIT_SCENE",
                json!({"scene": {"scene_id": 100_001}}),
                bad.clone(),
            ),
            (
                "QR_LIMIT_SCENE",
                json!({"scene": {"scene_id": 0}}),
                bad.clone(),
            ),
            ("QR_LIMIT_SCENE", json!({"scene_id": 5}), Ok(Scene::Id(0))),
            (
                "QR_LIMIT_STR_SCENE",
                json!({"scene": {"scene_str": text(64)}}),
                Ok(Scene::Text(text(64))),
            ),
            (
                "QR_LIMIT_STR_SCENE",
                json!({"scene": {"scene_str": text(65)}}),
                bad.clone(),
            ),
            (
                "QR_LIMIT_STR_SCENE",
                json!({"scene": {"scene_str": ""}}),
                bad.clone(),
            ),
            ("QR_LIMIT_STR_SCENE", json!({"scene_str": "a"}), bad.clone()),
        ] {
            let body = json!({"action_name": action, "action_info": info}).to_string();
            let got = CreateRequest::parse(body.as_bytes()).map(|request| request.scene);
            assert_eq!(got, want, "body {body}");
        }
    }

    #[test]
    fn an_invalid_create_body_gets_its_errcode() {
        for (body, want) in [
            ("", Errcode::EMPTY_BODY),
            (" \r\n", Errcode::EMPTY_BODY),
            ("{", Errcode::BAD_JSON),
            ("[]", Errcode::BAD_JSON),
            ("null", Errcode::BAD_JSON),
            ("action_name=QR_SCENE", Errcode::BAD_JSON),
            ("{}", Errcode::INVALID_ACTION_NAME),
            (
                r#"{"action_name":"qr_scene"}"#,
                Errcode::INVALID_ACTION_NAME,
            ),
            (
                r#"{"action_name":["QR_SCENE"]}"#,
                Errcode::INVALID_ACTION_NAME,
            ),
        ] {
            assert_eq!(
                CreateRequest::parse(body.as_bytes()),
                Err(want),
                "body {body:?}"
            );
        }
        assert_eq!(
            CreateRequest::parse(b"{\"a\":\"\xff\"}"),
            Err(Errcode::BAD_JSON)
        );
        let deep = "[".repeat(60_000);
        assert_eq!(
            CreateRequest::parse(deep.as_bytes()),
            Err(Errcode::BAD_JSON)
        );
    }

    #[test]
    fn only_temporary_codes_have_a_lifetime() {
        for (action, asked, want) in [
            ("QR_SCENE", json!(null), Some(60)),
            ("QR_SCENE", json!(1), Some(1)),
            ("QR_SCENE", json!("600"), Some(600)),
            ("QR_SCENE", json!(2_592_000), Some(2_592_000)),
            ("QR_SCENE", json!(2_592_001), Some(2_592_000)),
            ("QR_SCENE", json!(1e300), Some(2_592_000)),
            ("QR_SCENE", json!(0), Some(60)),
            ("QR_SCENE", json!(-5), Some(60)),
            ("QR_SCENE", json!(1.5), Some(60)),
            ("QR_LIMIT_SCENE", json!(600), None),
        ] {
            let body = json!({
                "action_name": action,
                "expire_seconds": asked,
                "action_info": {"scene": {"scene_id": 1}},
            });
            let got = CreateRequest::parse(body.to_string().as_bytes())
                .unwrap()
                .life;
            assert_eq!(got, want, "body {body}");
        }
    }

    #[test]
    fn a_code_is_found_until_it_expires() {
        let mut store = CodeStore::default();
        let short = store.create("wx1", request(Some(60)), "http://localhost", at(0));
        let ever = store.create("wx1", request(None), "http://localhost", at(0));
        let id = short.url.strip_prefix("http://localhost/q/").unwrap();
        assert_eq!(id.len(), 22);
        assert_eq!(store.by_id(id, at(59)).unwrap().ticket, short.ticket);
        assert!(store.by_ticket(&short.ticket, at(59)).is_some());
        assert!(store.by_ticket(&short.ticket, at(60)).is_none());
        assert!(store.by_id(id, at(60)).is_none());
        assert!(store.by_ticket(&ever.ticket, at(1_000_000_000)).is_some());

        store.create("wx1", request(Some(60)), "http://localhost", at(60));
        assert_eq!(store.codes.len(), 2, "the expired one is gone");
        assert_eq!(store.ids_by_ticket.len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_the_first_to_expire_is_evicted() {
        let mut store = CodeStore::default();
        let first = store.create("wx1", request(Some(60)), "", at(0));
        let second = store.create("wx1", request(Some(61)), "", at(0));
        for _ in 2..=MAX_TEMPORARY_CODES {
            store.create("wx1", request(Some(600)), "", at(0));
        }
        assert_eq!(store.codes.len(), MAX_TEMPORARY_CODES);
        assert!(store.by_ticket(&first.ticket, at(0)).is_none());
        assert!(store.by_ticket(&second.ticket, at(0)).is_some());
    }
}
