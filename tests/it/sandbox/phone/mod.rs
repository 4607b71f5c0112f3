//! The sandbox plays the phone: what is pushed and how often, what its buttons do, what its flags
//! set. Pushes are opened by `tests/callback/account.py`, which shares no code with us.

mod buttons;
mod flags;
mod pushes;
mod replies;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use reqwest::Client;
use serde_json::{Value, json};
use wechat_sandbox::{Callback, DataFormat, Delivery, Event, EventKind, Mode, Sandbox};
use wxqr::clock::ManualClock;

use super::{APP_SECRET, START, clock};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, spawn_sandbox_by};
use crate::support::files::path;
use crate::support::owner::Owner;
use crate::support::skip::skip;
use crate::support::{Server, client};

const OPENID: &str = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";
const TOKEN: &str = "CallbackToken1";
/// Its last character leaves two bits over.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFf";

/// A sandbox on a port of its own. Dropping it ends the server.
struct Phone {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    base: String,
    client: Client,
    _server: Server,
}

impl Phone {
    async fn spawn() -> Self {
        let clock = clock();
        let (sandbox, address, server) =
            spawn_sandbox_by(clock.clone(), APP_SECRET, |router| router).await;
        Self {
            sandbox,
            clock,
            base: format!("http://{address}"),
            client: client(),
            _server: server,
        }
    }

    /// With a callback in plain mode.
    async fn calling(owner: &Owner) -> Self {
        let phone = Self::spawn().await;
        phone.set_callback(owner, Mode::Plain, DataFormat::Xml);
        phone
    }

    fn set_callback(&self, owner: &Owner, mode: Mode, format: DataFormat) {
        let callback = callback(&owner.url, mode, format);
        self.sandbox.set_callback(APP_ID, Some(callback));
    }

    async fn push_unsubscribe(&self) -> Delivery {
        let unsubscribe = event(EventKind::Unsubscribe);
        self.sandbox.push(APP_ID, &unsubscribe).await.unwrap()
    }

    /// A new code that lives a minute.
    async fn code(&self, scene: &str) -> Code {
        let token = format!(
            "{}/cgi-bin/token?grant_type=client_credential&appid={APP_ID}&secret={APP_SECRET}",
            self.base
        );
        let token = Answer::to(self.client.get(token))
            .await
            .field("access_token");
        let body = json!({
            "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": scene}},
        });
        let create = format!("{}/cgi-bin/qrcode/create?access_token={token}", self.base);
        let made = Answer::to(self.client.post(create).body(body.to_string())).await;
        Code {
            url: made.field("url"),
            ticket: made.field("ticket"),
        }
    }

    async fn press(&self, code: &Code, what: &str, openid: &str) -> Answer {
        let form = format!("do={what}&openid={openid}");
        Answer::to(self.client.post(&code.url).body(form)).await
    }

    /// The same as a browser does it.
    async fn press_for_page(&self, url: &str, what: &str, openid: &str) -> Answer {
        let form = format!("do={what}&openid={openid}");
        let request = self.client.post(url).header("accept", "text/html,*/*");
        Answer::to(request.body(form)).await
    }
}

struct Code {
    url: String,
    ticket: String,
}

fn callback(url: &str, mode: Mode, format: DataFormat) -> Callback {
    Callback {
        url: url.parse().unwrap(),
        token: TOKEN.parse().unwrap(),
        mode,
        format,
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        openid: OPENID.to_owned(),
        created_at: START.parse().unwrap(),
        kind,
    }
}

/// What was pushed, opened by the script; none where Python or the backend is not installed.
fn opened(backend: &str, pushes: &[(String, String)]) -> Option<Vec<Value>> {
    let script = path("tests/callback/account.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args([backend, "open"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let lines = pushes.iter().map(|(query, body)| {
        let push = json!({
            "token": TOKEN, "encoding_aes_key": KEY, "app_id": APP_ID, "query": query, "body": body,
        });
        format!("{push}\n")
    });
    // The script may end without reading.
    let lines: String = lines.collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(3) {
        return None;
    }
    assert!(output.status.success(), "{backend} opens what is pushed");
    let text = String::from_utf8(output.stdout).unwrap();
    let opened = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Some(opened.collect())
}

/// The same with every backend that there is, which all see the same; skips the test if there is
/// none.
fn opened_by_all(pushes: &[(String, String)]) -> Option<Vec<Value>> {
    let backends = ["cryptography", "openssl"];
    let all: Vec<_> = backends
        .into_iter()
        .filter_map(|backend| opened(backend, pushes))
        .collect();
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:#?}");
    let first = all.into_iter().next();
    if first.is_none() {
        let why = "there is no Python with its package cryptography, or with openssl";
        skip(why, "REQUIRE_PYTHON");
    }
    first
}
