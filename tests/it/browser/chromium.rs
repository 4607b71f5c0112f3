//! A headless Chromium and the little of the Chrome `DevTools` Protocol that the tests need.
//!
//! Start at [`Chromium::launch`]; everything else happens on a [`Page`].

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::TIMEOUT;
use crate::support::skip::skip;

/// Names under which systems install it.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// With this variable set, a machine without a browser fails the tests instead of skipping them.
const REQUIRE: &str = "REQUIRE_BROWSER";

/// A browser takes a core and a few hundred megabytes; more at once only slow each other down.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A browser with an empty profile. Dropping it ends it.
pub(crate) struct Chromium {
    connection: Connection,
    /// `ws://ADDRESS` of the browser.
    base: String,
    _process: Child,
    _profile: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl Chromium {
    /// None, and a line on standard error, where no browser is installed.
    pub(crate) async fn launch() -> Option<Self> {
        let Some(program) = find() else {
            skip("chromium is not installed", REQUIRE);
            return None;
        };
        let permit = AT_ONCE.acquire().await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--no-first-run"])
            .args(["--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--hide-scrollbars"])
            .args(["--no-proxy-server", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let endpoint = endpoint(&mut process).await;
        let (base, _) = endpoint.split_once("/devtools/").unwrap();
        Some(Self {
            base: base.to_owned(),
            connection: Connection::open(&endpoint).await,
            _process: process,
            _profile: profile,
            _permit: permit,
        })
    }

    /// An empty page of that size, which keeps what it complains about.
    pub(crate) async fn page(&mut self, screen: Screen) -> Page {
        let blank = json!({"url": "about:blank", "newWindow": true});
        let made = self.connection.call("Target.createTarget", blank).await;
        let id = made["targetId"].as_str().unwrap();
        let connection = Connection::open(&format!("{}/devtools/page/{id}", self.base)).await;
        let mut page = Page {
            connection,
            document: String::new(),
            screen,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call("Page.setLifecycleEventsEnabled", json!({"enabled": true}))
            .await;
        // Only a page in front may use the clipboard, and each test has several.
        page.call(
            "Emulation.setFocusEmulationEnabled",
            json!({"enabled": true}),
        )
        .await;
        let metrics = json!({
            "width": screen.width, "height": screen.height,
            "deviceScaleFactor": screen.scale, "mobile": screen.mobile,
        });
        page.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        page
    }
}

/// The program, from `PATH`.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// Where the browser listens, which it says on standard error.
async fn endpoint(process: &mut Child) -> String {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let line = timeout_at(deadline, lines.next_line())
            .await
            .expect("chromium starts in time")
            .unwrap()
            .expect("chromium says where it listens");
        if let Some(endpoint) = line.strip_prefix("DevTools listening on ") {
            // A full pipe would stop the browser.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return endpoint.to_owned();
        }
    }
}

/// The screen that a page is shown on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    height: u32,
    scale: u32,
    mobile: bool,
}

impl Screen {
    pub(crate) const PHONE: Self = Self {
        name: "390",
        width: 390,
        height: 844,
        scale: 2,
        mobile: true,
    };

    pub(crate) const DESK: Self = Self {
        name: "1280",
        width: 1280,
        height: 800,
        scale: 1,
        mobile: false,
    };
}

/// A tab.
pub(crate) struct Page {
    connection: Connection,
    /// The protocol's id of the document that was loaded last.
    document: String,
    pub(crate) screen: Screen,
}

impl Page {
    /// Opens an address and waits until it has loaded, pictures included.
    pub(crate) async fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url})).await;
        assert_eq!(answer.get("errorText"), None, "opening {url}");
        let document = answer["loaderId"].as_str().unwrap();
        self.connection
            .event("the page", |event| loaded(event) == Some(document))
            .await;
        self.now_showing(document.to_owned());
    }

    /// Waits until another document than the present one has loaded.
    pub(crate) async fn loaded(&mut self) {
        let before = self.document.as_str();
        let event = self
            .connection
            .event("another page", |event| {
                loaded(event).is_some_and(|document| document != before)
            })
            .await;
        self.now_showing(loaded(&event).unwrap().to_owned());
    }

    /// What loaded before it is of no interest any more.
    fn now_showing(&mut self, document: String) {
        self.document = document;
        self.connection
            .events
            .retain(|event| loaded(event).is_none());
    }

    /// Waits until the next file that the page downloads is whole.
    pub(crate) async fn downloaded(&mut self) {
        let is_whole = |event: &Value| {
            event["method"] == "Page.downloadProgress" && event["params"]["state"] == "completed"
        };
        self.connection.event("a whole file", is_whole).await;
        self.connection
            .events
            .retain(|event| event["method"] != "Page.downloadProgress");
    }

    /// The value of an expression, promises awaited.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
        });
        let answer = self.call("Runtime.evaluate", parameters).await;
        let failure = answer.get("exceptionDetails");
        assert_eq!(failure, None, "evaluating {expression}");
        answer["result"]["value"].clone()
    }

    /// The value of an expression that is a text.
    pub(crate) async fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression).await;
        assert!(value.is_string(), "{expression} is {value}, not a text");
        value.as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise(done => {{ const look = () => {expression} ? done() : requestAnimationFrame(look); look() }})"
        );
        self.eval(&wait).await;
    }

    /// Types a key, as its owner does.
    pub(crate) async fn enter(&mut self, key: &str) {
        self.fill("#key", key).await;
        self.click("#entry button").await;
    }

    /// Replaces what a field holds by typing.
    pub(crate) async fn fill(&mut self, selector: &str, text: &str) {
        let focus = format!(
            "(field => {{ field.focus(); field.select() }})(document.querySelector({selector:?}))"
        );
        self.eval(&focus).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Clicks the middle of an element, as a mouse does.
    pub(crate) async fn click(&mut self, selector: &str) {
        let place = format!(
            "(element => {{
                element.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})(document.querySelector({selector:?}))"
        );
        let place = self.eval(&place).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let click = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", click).await;
        }
    }

    /// What the window shows, as PNG.
    pub(crate) async fn screenshot(&mut self) -> Vec<u8> {
        self.capture(false).await
    }

    /// The whole page, as PNG.
    pub(crate) async fn full_screenshot(&mut self) -> Vec<u8> {
        self.capture(true).await
    }

    async fn capture(&mut self, whole: bool) -> Vec<u8> {
        let parameters = json!({"format": "png", "captureBeyondViewport": whole});
        let answer = self.call("Page.captureScreenshot", parameters).await;
        let data = answer["data"].as_str().unwrap();
        BASE64_STANDARD.decode(data).unwrap()
    }

    /// Whether the reader prefers light letters on dark paper.
    pub(crate) async fn prefer_dark(&mut self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// All that the page's console, the browser's log (violations of the content policy) and its
    /// scripts complained of.
    ///
    /// Each is listed once. That the document itself is an error page is no complaint.
    pub(crate) async fn complaints(&mut self) -> Vec<String> {
        // Whatever the page causes has been reported when another frame was drawn.
        self.screenshot().await;
        let here = self.text("location.href").await;
        let complaint = |event: &Value| {
            let parameters = &event["params"];
            match event["method"].as_str()? {
                "Log.entryAdded" => {
                    let entry = &parameters["entry"];
                    let own_status = entry["source"] == "network" && entry["url"] == here.as_str();
                    (!own_status).then(|| format!("{}: {}", entry["source"], entry["text"]))
                }
                "Runtime.consoleAPICalled" => Some(parameters["args"].to_string()),
                "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
                _ => None,
            }
        };
        let events = std::mem::take(&mut self.connection.events);
        events.iter().filter_map(complaint).collect()
    }

    /// Any command of the protocol.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.connection.call(method, parameters).await
    }
}

/// The document whose `load` event this is.
fn loaded(event: &Value) -> Option<&str> {
    let parameters = &event["params"];
    let is_load = event["method"] == "Page.lifecycleEvent" && parameters["name"] == "load";
    is_load.then(|| parameters["loaderId"].as_str()).flatten()
}

/// Writes a screenshot to the folder in `SCREENSHOTS`, if there is one, for people to look at.
pub(crate) fn keep(name: &str, png: &[u8]) {
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}

/// One socket of the protocol. Events are kept until someone asks for them.
struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    events: Vec<Value>,
}

impl Connection {
    async fn open(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.unwrap();
        Self {
            socket,
            last_id: 0,
            events: Vec::new(),
        }
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let text = json!({"id": id, "method": method, "params": parameters}).to_string();
        self.socket.send(Message::text(text)).await.unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut message = self.next(method, deadline).await;
            if message["id"] == id {
                assert_eq!(message.get("error"), None, "calling {method}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Waits for an event, if it has not come already.
    async fn event(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(event) = self.events.iter().find(|event| is_it(event)) {
                return event.clone();
            }
            let message = self.next(name, deadline).await;
            self.events.push(message);
        }
    }

    async fn next(&mut self, awaited: &str, deadline: Instant) -> Value {
        loop {
            let message = timeout_at(deadline, self.socket.next()).await;
            assert!(message.is_ok(), "{awaited} did not come in time");
            let message = message
                .unwrap()
                .expect("the browser keeps the connection")
                .unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}
