//! The front page: an introduction, its accounts, the last codes and calls, and buttons for the
//! controls.
//!
//! It shows no secret: an account's `AppSecret` may be a real one that was entered by mistake.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::fault::{Fault, MAX_FAULTS};
use crate::api::log::Call;
use crate::body::BoundedBody;
use crate::control::{bad_request, done};
use crate::form::Form;
use crate::pages::lang::Lang;
use crate::pages::{self as page, STYLE, china_time};
use crate::push::callback::{Callback, Mode};
use crate::sandbox::Sandbox;

/// How many calls it lists.
const LISTED_CALLS: usize = 20;

/// The longest path that it shows, in bytes.
const SHOWN_PATH: usize = 120;

#[derive(Template)]
#[template(path = "home.html")]
struct Page {
    lang: Lang,
    accounts: Vec<AccountRow>,
    codes: Vec<CodeRow>,
    calls: Vec<CallRow>,
    /// As JSON, one each.
    faults: Vec<String>,
}

struct AccountRow {
    app_id: String,
    permanent_codes: u32,
    callback: Option<CallbackRow>,
}

struct CallbackRow {
    /// Without its query, which may hold a secret.
    address: String,
    mode: &'static str,
}

struct CodeRow {
    /// Relative to the page.
    phone: String,
    scene: String,
    action_name: &'static str,
    /// In China's time zone; `None` for a permanent code.
    until: Option<String>,
}

struct CallRow {
    at: String,
    api: &'static str,
    method: String,
    path: String,
}

/// `GET /sandbox`, and `GET /` where the sandbox has a listener of its own.
pub(crate) async fn show(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let lang = Lang::negotiate(query.as_deref().unwrap_or_default(), &headers);
    page::response(StatusCode::OK, &page_of(&sandbox, lang))
}

/// `POST /sandbox/faults`, the form of the page: adds a fault of the fields of `PUT`, or with
/// `clear=1` removes all.
pub(crate) async fn change_faults(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    BoundedBody(body): BoundedBody,
) -> Response {
    let form = Form::of_body(body);
    if form.value("clear") == "1" {
        sandbox.set_faults(Vec::new());
        return done(&headers);
    }
    match fault_of(&form) {
        Ok(_) if sandbox.faults().len() >= MAX_FAULTS => {
            bad_request(&format!("at most {MAX_FAULTS} faults may be set at once"))
        }
        Ok(fault) => {
            sandbox.fault_list().add(fault);
            done(&headers)
        }
        Err(error) => bad_request(&error),
    }
}

/// Fields that are left empty are not given.
fn fault_of(form: &Form) -> Result<Fault, String> {
    let mut line = Map::new();
    for name in ["api", "kind"] {
        line.insert(name.to_owned(), form.value(name).into());
    }
    for name in ["value", "times", "percent"] {
        let text = form.value(name);
        if !text.is_empty() {
            let number: i64 = text
                .parse()
                .map_err(|_| format!("{name} must be a whole number"))?;
            line.insert(name.to_owned(), number.into());
        }
    }
    serde_json::from_value(Value::Object(line)).map_err(|error| error.to_string())
}

fn page_of(sandbox: &Sandbox, lang: Lang) -> Page {
    let now = sandbox.now();
    let calls = sandbox
        .log()
        .recent()
        .take(LISTED_CALLS)
        .map(CallRow::new)
        .collect();
    let faults = sandbox.faults();
    let state = sandbox.state();
    Page {
        lang,
        accounts: state
            .overview()
            .into_iter()
            .map(|(app_id, permanent_codes, callback)| AccountRow {
                app_id: app_id.to_owned(),
                permanent_codes,
                callback: callback.map(CallbackRow::new),
            })
            .collect(),
        codes: state
            .recent_codes(now)
            .map(|(id, code)| CodeRow {
                phone: format!("q/{id}?lang={}", lang.primary()),
                scene: code.request.scene.to_string(),
                action_name: code.request.action.name(),
                until: code.expires_at.map(china_time),
            })
            .collect(),
        calls,
        faults: faults
            .iter()
            .filter_map(|fault| serde_json::to_string(fault).ok())
            .collect(),
    }
}

impl CallbackRow {
    fn new(callback: &Callback) -> Self {
        let mut address = callback.url.clone();
        address.set_query(None);
        address.set_fragment(None);
        // A URL with a host takes both.
        address.set_username("").ok();
        address.set_password(None).ok();
        Self {
            address: address.into(),
            mode: match callback.mode {
                Mode::Plain => "plain",
                Mode::Compatible(_) => "compatible",
                Mode::Safe(_) => "safe",
            },
        }
    }
}

impl CallRow {
    fn new(call: &Call) -> Self {
        let mut path = call.path.clone();
        path.truncate(path.floor_char_boundary(SHOWN_PATH));
        Self {
            at: china_time(call.at),
            api: call.api.name(),
            method: call.method.clone(),
            path,
        }
    }
}
