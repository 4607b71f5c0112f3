//! `/embed.js` while the service hangs, is away, or refuses: a code that ended is not shown, and
//! what may succeed is asked for again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use serde_json::{Value, json};
use wechat_sandbox::Api;

use super::{LOADED, listening, shop, until};
use crate::browser::chromium::{Chromium, Page, Screen};
use crate::browser::decoded;
use crate::support::app::TestApp;
use crate::support::served::Served;
use crate::support::{Server, client, closed_port, eventually};

/// A proxy before the service, which may leave the requests for one path unanswered.
struct Proxy {
    url: String,
    state: Arc<ProxyState>,
    _server: Server,
}

struct ProxyState {
    service: String,
    client: Client,
    hangs_at: Mutex<Option<&'static str>>,
    unanswered: AtomicUsize,
}

impl Proxy {
    async fn before(app: &TestApp) -> Self {
        let state = Arc::new(ProxyState {
            service: app.url(""),
            client: client(),
            hangs_at: Mutex::new(None),
            unanswered: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(forward);
        let router = router.with_state(Arc::clone(&state));
        let (server, address) = Server::spawn(|_| router).await;
        Self {
            url: format!("http://{address}"),
            state,
            _server: server,
        }
    }

    fn hang_at(&self, path: Option<&'static str>) {
        *self.state.hangs_at.lock().unwrap() = path;
    }

    /// Requests that wait now; those that were aborted are not counted.
    fn unanswered(&self) -> usize {
        self.state.unanswered.load(Ordering::Relaxed)
    }
}

/// Counts a request for as long as it waits.
struct Unanswered<'a>(&'a AtomicUsize);

impl<'a> Unanswered<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn forward(State(proxy): State<Arc<ProxyState>>, request: Request) -> Response {
    let hangs_at = *proxy.hangs_at.lock().unwrap();
    if hangs_at == Some(request.uri().path()) {
        let _waits = Unanswered::new(&proxy.unanswered);
        return std::future::pending().await;
    }
    let url = format!("{}{}", proxy.service, request.uri());
    let answer = proxy.client.get(url).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap()).into_response()
}

/// The element says that there is no code.
const SAYS_SO: &str = "document.querySelector('wx-qrcode').textContent !== ''";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_hangs_keeps_no_code_on_show_and_is_asked_again() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let proxy = Proxy::before(&app).await;
    let mut page = listening(&mut browser, Screen::PHONE).await;
    let element = "<wx-qrcode scene-id=12 expire-seconds=8></wx-qrcode>";
    page.open(&shop(&proxy.url, element).await).await;
    until(&mut page, &format!("{LOADED} === 1")).await;
    proxy.hang_at(Some("/qrcode.json"));
    until(&mut page, SAYS_SO).await;
    // The code ends before the request does.
    let first = page.eval("failures[0]").await;
    assert_eq!(first, json!(["Error: The code has ended", 0]));
    until(&mut page, "failures.length > 1").await;
    let second = page.text("failures[1][0]").await;
    assert!(second.starts_with("AbortError"), "{second}");
    proxy.hang_at(None);
    until(&mut page, &format!("{LOADED} === 1")).await;
    eventually("the request was aborted", || proxy.unanswered() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_hangs_is_given_up_and_asked_for_again() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let proxy = Proxy::before(&app).await;
    proxy.hang_at(Some("/qrcode.png"));
    let mut page = listening(&mut browser, Screen::PHONE).await;
    let element = "<wx-qrcode scene-id=12></wx-qrcode>";
    page.open(&shop(&proxy.url, element).await).await;
    until(&mut page, SAYS_SO).await;
    eventually("the request was aborted", || proxy.unanswered() == 0).await;
    proxy.hang_at(None);
    until(&mut page, &format!("{LOADED} === 1")).await;
    assert_eq!(app.creates(), 1, "one code for both requests");
}

/// The text of the code that the page shows, which is the code of the last event.
async fn shown(page: &mut Page) -> String {
    let url = page.text("codes.at(-1).url").await;
    let png = page.screenshot().await;
    assert_eq!(decoded(&png), [url.as_str()]);
    url
}

/// From the first picture on: how few pictures there were before the first failure, and when there
/// was none.
const WATCH: &str = "(() => {
    window.fewest = 1;
    new MutationObserver(() => {
        if (failures.length === 0) fewest = Math.min(fewest, document.images.length);
        if (document.images.length === 0) window.goneAt ??= Date.now();
    }).observe(document.body, {subtree: true, childList: true});
    addEventListener('wxqr-code', () => { window.shownAt = Date.now() });
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_20_seconds_is_renewed_and_outlives_a_restart_of_the_service() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let address = closed_port().to_string();
    let service = Served::with(&[("WXQR_LISTEN", &address)]).await;
    let mut page = listening(&mut browser, Screen::PHONE).await;
    let element = "<wx-qrcode scene-id=12 expire-seconds=20></wx-qrcode>";
    page.open(&shop(&format!("http://{address}"), element).await)
        .await;
    until(&mut page, &format!("{LOADED} === 1")).await;
    page.eval(WATCH).await;
    let first = shown(&mut page).await;

    until(&mut page, "codes.length > 1").await;
    let second = shown(&mut page).await;
    assert_ne!(first, second);
    assert_eq!(page.eval("failures").await, json!([]), "before its end");
    assert_eq!(page.eval("fewest").await, 1, "never without a picture");

    let creates = service.sandbox.count(Api::Create);
    assert_eq!(creates, 2, "one for each life");
    service.process.kill().await;
    until(&mut page, SAYS_SO).await;
    let failure = page.eval("failures[0]").await;
    assert_eq!(
        failure,
        json!(["TypeError: Failed to fetch", 1]),
        "a good code stays"
    );
    // A moment is for the picture, which came after the seconds were counted.
    let stayed = page
        .eval("goneAt - shownAt > 1000 * (codes[1].expire_seconds - 1)")
        .await;
    assert_eq!(stayed, true, "to its end");

    let _service = Served::with(&[("WXQR_LISTEN", &address)]).await;
    until(&mut page, &format!("{LOADED} === 1")).await;
    assert_ne!(shown(&mut page).await, second);
}

/// Takes the place of the service: `answer` is a status and a body, or nothing for no connection.
/// `asks(event)` is how often the event makes the script ask.
const STAGED: &str = "window.answer = null; window.asked = 0; window.service = fetch;
    window.fetch = async (...request) => {
        asked++;
        if (answer === 'service') return service(...request);
        if (answer === null) throw new TypeError('away');
        return new Response(answer[1], {status: answer[0]});
    };
    window.asks = event => { const before = asked; dispatchEvent(new Event(event)); return asked - before };
    window.next = event => new Promise(done => addEventListener(event, done, {once: true}));";

async fn staged(browser: &mut Chromium, app: &TestApp) -> Page {
    let mut page = browser.page(Screen::PHONE).await;
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": STAGED}),
    )
    .await;
    let element = "<wx-qrcode></wx-qrcode>";
    page.open(&shop(&app.url(""), element).await).await;
    until(&mut page, "asked > 0").await;
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_asked_for_at_once_when_the_visitor_or_the_connection_is_back() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let mut page = staged(&mut browser, &app).await;
    for event in ["online", "pageshow", "visibilitychange"] {
        let asks = page
            .eval(&format!(
                "(async () => {{
                    answer = null;
                    let failed = next('wxqr-error');
                    document.querySelector('wx-qrcode').setAttribute('scene-str', '{event}');
                    await failed;
                    failed = next('wxqr-error');
                    const asks_after = [asks('{event}'), asks('{event}')];
                    await failed;
                    answer = 'service';
                    const shown = next('wxqr-code');
                    asks_after.push(asks('{event}'));
                    await shown;
                    return [...asks_after, asks('{event}')];
                }})()"
            ))
            .await;
        assert_eq!(
            asks,
            json!([1, 0, 1, 0]),
            "{event}: after a failure, while it asks, after another failure, after a success"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_page_asks_for_no_code_until_its_visitor_is_back() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let mut page = staged(&mut browser, &app).await;
    let asks = page
        .eval(
            "(async () => {
                answer = 'service';
                const shown = next('wxqr-code');
                document.querySelector('wx-qrcode').setAttribute('scene-str', 'hidden');
                await shown;
                let hidden = true;
                Object.defineProperty(document, 'hidden', {get: () => hidden});
                const later = Date.now() + 3 * 3_600_000;
                Date.now = () => later;
                const away = asks('visibilitychange');
                hidden = false;
                return [away, asks('visibilitychange')];
            })()",
        )
        .await;
    assert_eq!(asks, json!([0, 1]), "while it is hidden, and after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_asked_for_again() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let mut page = staged(&mut browser, &app).await;
    let problem = r#"{"detail": "no"}"#;
    for (number, (status, body, asks)) in [
        (400, problem, 0),
        (403, problem, 0),
        (404, "<h1>Not Found</h1>", 0),
        (404, "{}", 0),
        (409, problem, 0),
        (429, problem, 1),
        (429, "slowly", 1),
        (500, problem, 1),
        (502, "<h1>Bad Gateway</h1>", 1),
        (503, problem, 1),
        (200, "<h1>Sign in to this network</h1>", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let staged = json!([status, body]);
        let got: Value = page
            .eval(&format!(
                "(async () => {{
                    answer = {staged};
                    const failed = next('wxqr-error');
                    document.querySelector('wx-qrcode').setAttribute('scene-id', '{number}');
                    await failed;
                    const later = Date.now() + 3_600_000, now = Date.now;
                    Date.now = () => later;
                    const again = asks('visibilitychange');
                    Date.now = now;
                    return again;
                }})()"
            ))
            .await;
        assert_eq!(got, asks, "{status} {body}: asked again within an hour");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_element_does_not_keep_the_code_of_the_other_scene() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let mut page = listening(&mut browser, Screen::PHONE).await;
    let element = "<wx-qrcode scene-id=12></wx-qrcode>";
    page.open(&shop(&app.url(""), element).await).await;
    until(&mut page, &format!("{LOADED} === 1")).await;
    page.eval("document.querySelector('wx-qrcode').setAttribute('scene-id', '0')")
        .await;
    until(&mut page, SAYS_SO).await;
    assert_eq!(page.eval("document.images.length").await, 0);
}
