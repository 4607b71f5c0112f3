//! The page of the statistics shows the current numbers of the API.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::{Value, json};
use wechat::event::EventKind;

use super::chromium::{Chromium, Page, Screen, keep};
use super::{LANGS, SCREENS, check_reading};
use crate::support::eventually;
use crate::support::followers::{Deed, Followed};
use crate::support::keys;
use crate::support::payloads::payloads;

/// Gets both, or leaves the test where there is no browser.
macro_rules! followed_and_browser {
    () => {{
        let Some(browser) = Chromium::launch().await else {
            return;
        };
        let followed = Followed::with(|builder| builder.set("CALLBACK_TOKEN", "token123")).await;
        (followed, browser)
    }};
}

/// The cells of the table of channels, line by line.
const CHANNELS: &str = "[...document.querySelectorAll('#channels tbody tr')].map(line => [...line.cells].map(it => (it.querySelector('[data-cell]') ?? it).innerText.trim()))";

/// The numbers above the chart.
const TILES: &str = "[...document.querySelectorAll('[data-number]')].map(it => it.textContent)";

/// The cells of the table of days that can be seen.
const DAYS: &str = "[...document.querySelectorAll('#days tbody tr')].map(line => [...line.cells].filter(it => it.checkVisibility()).map(it => it.textContent))";

const NUMBERS: [&str; 5] = ["scans", "people", "new_followers", "lost", "net"];

impl Page {
    async fn open_board(&mut self, followed: &Followed, lang: &str) {
        self.open(&followed.app.url(&format!("/stats?lang={lang}")))
            .await;
        self.enter(keys::STATS).await;
        self.until("!board.hidden").await;
    }

    /// The table, with its texts as `label`, `scene`, `group`, and its numbers as numbers.
    async fn channels(&mut self) -> Vec<(String, Vec<i64>)> {
        let lines = self.eval(CHANNELS).await;
        lines.as_array().unwrap().iter().map(read_line).collect()
    }
}

fn number(text: &str) -> i64 {
    text.replace([',', '\u{2212}'], "").parse().unwrap()
}

fn read_line(line: &Value) -> (String, Vec<i64>) {
    let cells: Vec<&str> = line
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_str().unwrap())
        .collect();
    let numbers = cells[3..].iter().map(|cell| number(cell)).collect();
    (cells[..3].join("|"), numbers)
}

fn today() -> Date {
    #[expect(
        clippy::disallowed_methods,
        reason = "the service reads the same clock"
    )]
    let now = jiff::Timestamp::now();
    Offset::constant(8).to_datetime(now).date()
}

/// Four weeks of a few channels, up to today.
async fn four_weeks(followed: &Followed) {
    let codes = [
        (
            json!({"scene_str": "poster-jingan", "permanent": true, "label": "静安寺站 A 口海报", "group": "上海"}),
            11,
        ),
        (
            json!({"scene_str": "poster-xujiahui", "permanent": true, "label": "徐家汇扶梯海报", "group": "上海"}),
            7,
        ),
        (
            json!({"scene_id": 1024, "permanent": true, "label": "Flagship store, Nanjing Road", "group": "Stores"}),
            5,
        ),
        (
            json!({"scene_str": "newsletter-2026-11", "label": "November newsletter", "group": "Mail"}),
            3,
        ),
        (
            json!({"scene_id": 7, "permanent": true, "label": "Quiet"}),
            0,
        ),
        (json!({"scene_id": 123}), 2),
    ];
    let mut people = 0;
    for (code, pace) in codes {
        let ticket = followed.code(&code).await;
        let scene = code["scene_str"].as_str().map_or_else(
            || code["scene_id"].as_u64().unwrap().to_string(),
            str::to_owned,
        );
        for back in 0..28 {
            let day = today() - back.days();
            let mut moments = Vec::new();
            for n in 0..(pace * (3 + (back * 5 + pace) % 7) / 6) {
                people += 1;
                let who = format!("oPerson_{people}");
                let at = |minute: i64| format!("{day}T0{}:{:02}:00+08:00", n % 9, minute);
                moments.push((who.clone(), EventKind::Subscribe, at(1), true));
                if n % 2 == 0 {
                    moments.push((who.clone(), EventKind::Scan, at(7), true));
                }
                if n % 5 == 4 {
                    moments.push((who, EventKind::Unsubscribe, at(9), false));
                }
            }
            let code = Some((&*ticket, &*scene));
            let deeds: Vec<_> = moments
                .iter()
                .map(|(who, kind, at, is_of_code)| Deed {
                    who,
                    kind: *kind,
                    at,
                    code: code.filter(|_| *is_of_code),
                })
                .collect();
            followed.record(&deeds).await;
        }
    }
    let stray = Deed {
        who: "oStray",
        kind: EventKind::Scan,
        at: &format!("{}T00:30:00+08:00", today()),
        code: Some(("gQelsewhere", "old-campaign")),
    };
    followed.record(&[stray]).await;
}

/// What the API says of the last so many days, as the page writes it.
async fn api_numbers(followed: &Followed, days: i32) -> Vec<(String, Vec<i64>)> {
    let (from, to) = (today() - (days - 1).days(), today());
    let rows = followed.rows(&format!("from={from}&to={to}")).await;
    let line = |row: &Value| {
        let scene = row["scene_str"].as_str().map_or_else(
            || row["scene_id"].as_u64().unwrap().to_string(),
            str::to_owned,
        );
        let kind = match row["permanent"].as_bool() {
            Some(true) => "permanent",
            Some(false) => "temporary",
            None => "unattributed",
        };
        let label = row["label"].as_str().unwrap_or(&scene);
        let group = row["group"].as_str().unwrap_or_default();
        let numbers = NUMBERS.map(|name| row[name].as_i64().unwrap());
        (format!("{label}|{scene} {kind}|{group}"), numbers.to_vec())
    };
    rows.iter().map(line).collect()
}

fn by_name(mut lines: Vec<(String, Vec<i64>)>) -> Vec<(String, Vec<i64>)> {
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_readable_with_and_without_numbers() {
    let (followed, mut browser) = followed_and_browser!();
    let empty = Followed::spawn().await;
    four_weeks(&followed).await;
    for screen in SCREENS {
        for lang in LANGS {
            let mut page = browser.page(screen).await;
            let name = format!("stats-{lang}-{}", screen.name);
            page.open(&followed.app.url(&format!("/stats?lang={lang}")))
                .await;
            keep(&format!("{name}-entry"), &page.full_screenshot().await);
            check_reading(&mut page, &format!("{name}-entry")).await;
            page.enter("no-such-key-0123456").await;
            page.until("trouble.textContent !== ''").await;
            // The browser notes the refusal.
            page.complaints().await;
            check_reading(&mut page, &format!("{name}-wrong-key")).await;
            page.enter(keys::STATS).await;
            page.until("!board.hidden").await;
            keep(&name, &page.full_screenshot().await);
            check_reading(&mut page, &name).await;
            page.prefer_dark(true).await;
            keep(&format!("{name}-dark"), &page.full_screenshot().await);
            page.prefer_dark(false).await;
            page.click("#channels tbody button").await;
            page.until("subject.textContent !== words.dataset.all && document.querySelector('[data-number=people]').textContent !== '–'").await;
            page.eval("document.querySelector('details').open = true")
                .await;
            keep(&format!("{name}-one"), &page.full_screenshot().await);
            check_reading(&mut page, &format!("{name}-one")).await;

            page.open(&empty.app.url(&format!("/stats?lang={lang}")))
                .await;
            page.enter(keys::STATS).await;
            page.until("!board.hidden").await;
            keep(&format!("{name}-empty"), &page.full_screenshot().await);
            check_reading(&mut page, &format!("{name}-empty")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_shown_are_those_of_the_api() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_board(&followed, "en").await;
    page.eval("document.querySelector('details').open = true")
        .await;
    for days in [30, 7, 90] {
        page.click(&format!("label:has([value='{days}'])")).await;
        let first = today() - (days - 1).days();
        page.until(&format!("from.value === '{first}'")).await;
        let want = api_numbers(&followed, days).await;
        assert_eq!(by_name(page.channels().await), by_name(want.clone()));
        let sum = |n: usize| want.iter().map(|(_, numbers)| numbers[n]).sum::<i64>();
        let tiles = page.eval(TILES).await;
        for (n, tile) in tiles.as_array().unwrap().iter().enumerate() {
            match NUMBERS[n] {
                "people" => assert_eq!(tile, "–", "people of several channels do not add up"),
                _ => assert_eq!(number(tile.as_str().unwrap()), sum(n), "{}", NUMBERS[n]),
            }
        }
        let daily = followed
            .rows(&format!("from={first}&to={}&by=day&sum=true", today()))
            .await;
        check_days(
            &mut page,
            &daily,
            &["scans", "new_followers", "lost", "net"],
        )
        .await;
    }
}

/// The table of days, the newest first, and the bars of the chart, which are as many and as high.
async fn check_days(page: &mut Page, daily: &[Value], names: &[&str]) {
    let shown = page.eval(DAYS).await;
    let shown: Vec<Vec<String>> = serde_json::from_value(shown).unwrap();
    let want: Vec<Vec<String>> = daily
        .iter()
        .rev()
        .map(|row| {
            let day = row["day"].as_str().unwrap().to_owned();
            let numbers = names
                .iter()
                .map(|name| row[*name].as_i64().unwrap().to_string());
            std::iter::once(day).chain(numbers).collect()
        })
        .collect();
    assert_eq!(shown, want);
    for name in ["scans", "new_followers"] {
        let bars = format!(
            "[...document.querySelectorAll('#chart rect.{name}')].map(it => Number(it.getAttribute('height')))"
        );
        let bars: Vec<f64> = serde_json::from_value(page.eval(&bars).await).unwrap();
        let numbers: Vec<f64> = daily
            .iter()
            .map(|row| row[name].as_f64().unwrap())
            .collect();
        assert_eq!(bars.len(), numbers.len(), "{name}");
        let scale = bars.iter().sum::<f64>() / numbers.iter().sum::<f64>();
        for (bar, number) in bars.iter().zip(&numbers) {
            assert!(
                (bar - number * scale).abs() < 0.01,
                "{name}: {bar} px for {number}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_found_sorted_and_chosen() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_board(&followed, "en").await;
    page.eval("document.querySelector('details').open = true")
        .await;
    for (by, n) in [("people", 1), ("net", 4), ("scans", 0)] {
        page.click(&format!("#channels [data-by={by}]")).await;
        let numbers: Vec<i64> = page.channels().await.iter().map(|line| line.1[n]).collect();
        assert!(numbers.is_sorted_by(|a, b| a >= b), "{by}: {numbers:?}");
        let sorted = format!(
            "document.querySelector('[data-by={by}]').closest('th').getAttribute('aria-sort')"
        );
        assert_eq!(page.text(&sorted).await, "descending");
    }
    page.click("#channels [data-by=scans]").await;
    let numbers: Vec<i64> = page.channels().await.iter().map(|line| line.1[0]).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");

    for (search, want) in [
        ("上海", 2),
        ("POSTER-", 2),
        ("1024", 1),
        ("nanjing", 1),
        ("no such", 0),
        ("", 7),
    ] {
        page.fill("#search", search).await;
        assert_eq!(page.channels().await.len(), want, "{search:?}");
    }

    page.fill("#search", "newsletter").await;
    page.click("#channels tbody button").await;
    page.until("subject.textContent === 'November newsletter'")
        .await;
    let (line, numbers) = page.channels().await.remove(0);
    assert_eq!(
        line,
        "November newsletter|newsletter-2026-11 temporary|Mail"
    );
    let tiles: Vec<String> = serde_json::from_value(page.eval(TILES).await).unwrap();
    let tiles: Vec<i64> = tiles.iter().map(|tile| number(tile)).collect();
    assert_eq!(tiles, numbers);
    let first = today() - 29.days();
    let daily = followed
        .rows(&format!(
            "from={first}&to={}&by=day&scene=str:newsletter-2026-11",
            today()
        ))
        .await;
    check_days(&mut page, &daily, &NUMBERS).await;
    page.click("#all").await;
    page.until("subject.textContent === 'All channels'").await;

    // Days that cannot be a range change nothing.
    let set = |from: &str, to: &str| {
        format!(
            "document.querySelector('#from').value = '{from}'; document.querySelector('#to').value = '{to}';
            document.querySelector('#to').dispatchEvent(new Event('change'))"
        )
    };
    page.eval(&set("2026-11-02", "2026-11-01")).await;
    page.until("file_trouble.textContent.startsWith('Give two days')")
        .await;
    let (from, to) = (today() - 3.days(), today() - 1.day());
    page.eval(&set(&from.to_string(), &to.to_string())).await;
    page.until(&format!(
        "document.querySelector('#days tbody').rows.length === 3 && days.rows[1].cells[0].textContent === '{to}'"
    ))
    .await;
    assert_eq!(page.text("file_trouble.textContent").await, "");
    assert_eq!(
        page.eval("document.querySelector('[name=days]:checked')")
            .await,
        Value::Null
    );
}

/// What a reader has chosen, as the page shows it.
const CHOSEN: &str = "[subject.textContent, document.querySelector('#search').value, document.querySelector('#from').value,
    document.querySelector('#to').value, document.querySelector('[aria-sort]').querySelector('button').dataset.by,
    document.querySelector('[aria-sort]').getAttribute('aria-sort')]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_chosen_is_in_the_address() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_board(&followed, "en").await;
    page.click("[name=days][value='7'] + span").await;
    page.click("#channels [data-by=net]").await;
    page.fill("#search", "newsletter").await;
    page.click("#channels tbody button").await;
    page.until("subject.textContent === 'November newsletter'")
        .await;
    let (from, to) = (today() - 6.days(), today());
    let seven_days = format!("document.querySelector('#from').value === '{from}'");
    page.until(&seven_days).await;
    let want = json!([
        "November newsletter",
        "newsletter",
        from.to_string(),
        to.to_string(),
        "net",
        "descending",
    ]);
    assert_eq!(page.eval(CHOSEN).await, want);
    let tiles = page.eval(TILES).await;
    let address = page.text("location.href").await;

    // Reloaded, as a bookmark, and with a slash at the end of the path.
    for address in [address.clone(), address.replacen("/stats?", "/stats/?", 1)] {
        page.open(&address).await;
        page.until("!board.hidden && subject.textContent === 'November newsletter'")
            .await;
        page.until(&seven_days).await;
        assert_eq!(page.eval(CHOSEN).await, want, "{address}");
        assert_eq!(page.eval(TILES).await, tiles, "{address}");
    }

    // In the other language.
    page.click(".top [lang]").await;
    page.loaded().await;
    page.until("!board.hidden && document.documentElement.lang === 'zh-CN'")
        .await;
    assert_eq!(page.eval(CHOSEN).await, want);

    // Back and forth.
    page.click("#all").await;
    page.until("subject.textContent === '全部渠道'").await;
    page.eval("history.back()").await;
    page.until("subject.textContent === 'November newsletter'")
        .await;
    page.eval("history.forward()").await;
    page.until("subject.textContent === '全部渠道'").await;

    // Signing out leaves nothing behind.
    page.click("#leave").await;
    let search = page.text("location.search").await;
    assert_eq!(search, "?lang=zh");

    // What is no choice is passed over.
    let odd = "/stats?lang=en&days=8&from=2026-02-30&to=x&channel=permanent:wxqr.x&sort=-nothing";
    page.open(&followed.app.url(odd)).await;
    page.enter(keys::STATS).await;
    page.until("!board.hidden").await;
    let got = page.eval(CHOSEN).await;
    let first = (today() - 29.days()).to_string();
    let want = json!([
        "All channels",
        "",
        first,
        to.to_string(),
        "scans",
        "descending"
    ]);
    assert_eq!(got, want);
    let complaints = page.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_shows_in_an_open_page_without_a_reload() {
    let (followed, mut browser) = followed_and_browser!();
    let one = followed.code(&json!({"scene_id": 1, "label": "One"})).await;
    let two = followed.code(&json!({"scene_id": 2, "label": "Two"})).await;
    let at = format!("{}T00:00:00+08:00", today());
    let deed = |who, code| Deed {
        who,
        kind: EventKind::Subscribe,
        at: &at,
        code: Some(code),
    };
    let mut page = browser.page(Screen::PHONE).await;
    page.open_board(&followed, "en").await;
    assert!(
        page.eval("!silence.hidden").await == json!(true),
        "nothing has come yet"
    );
    page.eval("window.opened = true").await;
    followed.record(&[deed("oFirst", (&one, "1"))]).await;
    page.until("document.querySelector('#channels tbody tr').innerText.includes('One') && document.querySelector('[data-number=scans]').textContent === '1'")
        .await;
    assert_eq!(page.eval("silence.hidden").await, json!(true));
    // A focused line keeps the focus when it moves.
    page.eval("document.querySelector('#channels tbody button').focus()")
        .await;
    followed
        .record(&[deed("oSecond", (&two, "2")), deed("oThird", (&two, "2"))])
        .await;
    page.until("document.querySelector('[data-number=new_followers]').textContent === '3'")
        .await;
    assert_eq!(
        page.channels().await,
        [
            ("Two|2 temporary|".to_owned(), vec![2, 2, 2, 0, 2]),
            ("One|1 temporary|".to_owned(), vec![1, 1, 1, 0, 1]),
        ]
    );
    let focused = page.text("document.activeElement.textContent").await;
    assert_eq!(focused, "One");
    assert_eq!(page.eval("window.opened").await, json!(true), "no reload");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_key_shows_the_reason_and_a_valid_one_stays_in_its_tab() {
    let (followed, mut browser) = followed_and_browser!();
    for (lang, unknown, lacking) in [
        (
            "en",
            "This key is not valid.",
            "This key lacks the scope stats.",
        ),
        ("zh", "这个密钥无效", "这个密钥没有 stats 权限"),
    ] {
        let mut page = browser.page(Screen::PHONE).await;
        page.open(&followed.app.url(&format!("/stats?lang={lang}")))
            .await;
        for (key, want) in [
            ("no-such-key-0123456", unknown),
            ("钥匙", unknown),
            (keys::MINT, lacking),
        ] {
            page.enter(key).await;
            page.until(&format!("trouble.textContent.startsWith('{want}')"))
                .await;
            assert_eq!(page.eval("board.hidden").await, json!(true), "{key}");
            assert_eq!(page.text("document.activeElement.id").await, "key");
            let invalid = page
                .eval("key.getAttribute('aria-invalid') === 'true'")
                .await;
            assert_eq!(invalid, json!(true), "{key}");
            assert_eq!(page.eval("sessionStorage.length").await, json!(0), "{key}");
            keep(&format!("stats-refused-{lang}"), &page.screenshot().await);
            page.eval("trouble.textContent = ''").await;
        }
    }
    followed.code(&json!({"scene_id": 1, "label": "One"})).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_board(&followed, "zh").await;
    let address = followed.app.url("/stats?lang=zh");
    assert_eq!(page.text("location.href").await, address);
    page.open(&address).await;
    page.until("!board.hidden").await;
    let places = "[localStorage.length, document.cookie, sessionStorage.length, document.querySelector('#key').value]";
    assert_eq!(page.eval(places).await, json!([0, "", 1, ""]));
    let left = "[channels.tBodies[0].rows.length, days.tBodies[0].rows.length, chart.childElementCount, readout.textContent]";
    assert_eq!(page.eval(left).await[0], 1);
    page.click("#leave").await;
    assert_eq!(page.eval(places).await, json!([0, "", 0, ""]));
    assert_eq!(page.eval("board.hidden").await, json!(true));
    assert_eq!(page.eval(left).await, json!([0, 0, 0, ""]));
    page.open(&address).await;
    assert_eq!(page.eval("board.hidden").await, json!(true));
}

/// Timers that go off when the test says so, and requests that it counts and may answer.
const UNDER_CONTROL: &str = "
    window.timers = [];
    window.setTimeout = (callback, delay) => timers.push({ callback, delay });
    window.clearTimeout = () => {};
    window.asked = [];
    const service = window.fetch;
    window.fetch = (path, options) => {
        asked.push(new URL(path).pathname.slice(1) + (path.includes('cursor=') ? ' after' : ''));
        return (window.answer ?? service)(path, options);
    };
    window.tick = () => {
        const before = timers.length;
        asked.length = 0;
        timers.at(-1).callback();
        return new Promise(done => {
            const look = () => timers.length > before ? done([timers.at(-1).delay, asked, trouble.textContent]) : requestAnimationFrame(look);
            look();
        });
    };";

/// Answers every request with that problem.
fn failing(status: u16, code: &str) -> String {
    format!(
        "window.answer = async () => new Response('{{\"code\":\"{code}\"}}', {{status: {status}}})"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_asks_again_only_when_it_is_seen_and_less_often_while_that_fails() {
    let (followed, mut browser) = followed_and_browser!();
    let mut page = browser.page(Screen::DESK).await;
    let script = json!({"source": UNDER_CONTROL});
    page.call("Page.addScriptToEvaluateOnNewDocument", script)
        .await;
    page.open_board(&followed, "en").await;
    page.until("timers.length === 1").await;
    let nothing_new = json!([3000, ["api/scans after"], ""]);
    assert_eq!(page.eval("tick()").await, nothing_new);
    assert_eq!(page.eval("tick()").await, nothing_new);

    let hide = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})"
        )
    };
    page.eval(&hide(true)).await;
    page.eval("asked.length = 0; timers.at(-1).callback()")
        .await;
    assert_eq!(page.eval("asked.length").await, json!(0), "nobody looks");
    page.eval(&hide(false)).await;
    let timers = page.eval("timers.length").await;
    page.eval("document.dispatchEvent(new Event('visibilitychange'))")
        .await;
    page.until(&format!("timers.length > {timers}")).await;
    assert_eq!(page.eval("asked").await, json!(["api/scans after"]));

    let gone =
        "The database cannot be used at the moment. This page continues by itself when it is back.";
    page.eval(&failing(503, "store_unavailable")).await;
    for pause in [6000, 12_000, 24_000, 48_000, 60_000, 60_000] {
        let want = json!([pause, ["api/scans after"], gone]);
        assert_eq!(page.eval("tick()").await, want);
    }
    for (answer, want) in [
        (
            failing(500, "internal"),
            "The service failed. This page keeps trying.",
        ),
        (
            "window.answer = async () => new Response('<h1>Bad gateway</h1>', {status: 502})"
                .to_owned(),
            "The service failed. This page keeps trying.",
        ),
        (
            "window.answer = async () => { throw new TypeError('no connection') }".to_owned(),
            "The service cannot be reached. This page keeps trying.",
        ),
    ] {
        page.eval(&answer).await;
        let want = json!([60_000, ["api/scans after"], want]);
        assert_eq!(page.eval("tick()").await, want, "{answer}");
    }
    assert_eq!(
        page.eval("board.hidden").await,
        json!(false),
        "what was there stays"
    );
    page.eval("window.answer = undefined").await;
    assert_eq!(page.eval("tick()").await, nothing_new);

    // A database that was put back does not know the place: the page begins again.
    page.eval("window.answer = async (path, options) => path.includes('cursor=') ? new Response('{\"code\":\"invalid_parameter\"}', {status: 400}) : service(path, options)")
        .await;
    let again = page.eval("tick()").await;
    let asked = json!([
        "api/scans after",
        "api/scans",
        "api/stats",
        "api/stats",
        "api/stats"
    ]);
    assert_eq!(again[1], asked);
    assert_eq!(again[2], "");

    // A key that was taken back ends it.
    page.eval(&failing(401, "unauthorized")).await;
    page.eval("timers.at(-1).callback()").await;
    page.until("trouble.textContent.startsWith('This key is not valid.')")
        .await;
    assert_eq!(page.eval("board.hidden").await, json!(true));
    assert_eq!(page.eval("sessionStorage.length").await, json!(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_that_is_downloaded_is_the_apis() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let folder = tempfile::tempdir().unwrap();
    let mut page = browser.page(Screen::PHONE).await;
    let allow = json!({"behavior": "allow", "downloadPath": folder.path()});
    page.call("Page.setDownloadBehavior", allow).await;
    page.open_board(&followed, "zh").await;
    let (from, to) = (today() - 29.days(), today());
    // Chromium takes no more than ten downloads a second of a page.
    let some = [("csv", "total", "total"), ("xlsx", "day", "by-day")];
    let others = [("csv", "day", "by-day"), ("xlsx", "total", "total")];
    for (search, scene, chosen, files) in [
        ("", "", "", some),
        ("上海", "&q=%E4%B8%8A%E6%B5%B7", "-q-上海", others),
        (
            "newsletter",
            "&scene=temporary:str:newsletter-2026-11",
            "-temporary-scene_str-newsletter-2026-11",
            some,
        ),
        (
            "1024",
            "&scene=permanent:id:1024",
            "-permanent-scene_id-1024",
            others,
        ),
    ] {
        page.fill("#search", search).await;
        if scene.contains("scene") {
            page.click("#channels tbody button").await;
        }
        for (kind, by, span) in files {
            let name = format!("wxqr-stats{chosen}-{span}-{from}-to-{to}.{kind}");
            let file = folder.path().join(&name);
            let path = format!("/api/stats.{kind}?from={from}&to={to}&lang=zh&by={by}{scene}");
            let want = followed.get(keys::STATS, &path).await.body;
            page.click(&format!("[data-file={kind}][data-span={by}]"))
                .await;
            eventually(&format!("{name} is there"), || {
                std::fs::read(&file).is_ok_and(|got| got == want)
            })
            .await;
        }
    }
    // None was written over another.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 8);
    check_reading(&mut page, "after two downloads").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_control_has_an_accessible_name() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let mut page = browser.page(Screen::PHONE).await;
    page.open_board(&followed, "en").await;
    page.eval("document.querySelector('details').open = true")
        .await;
    let tree = page.call("Accessibility.getFullAXTree", json!({})).await;
    let nodes: Vec<(&str, &str)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == false)
        .map(|node| {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            let name = node["name"]["value"].as_str().unwrap_or_default();
            (role, name)
        })
        .collect();
    for role in [
        "button",
        "link",
        "radio",
        "searchbox",
        "Date",
        "table",
        "image",
        "columnheader",
        "rowheader",
    ] {
        let of_role: Vec<_> = nodes.iter().filter(|node| node.0 == role).collect();
        assert!(!of_role.is_empty(), "no {role} in {nodes:?}");
        assert!(
            of_role.iter().all(|node| !node.1.trim().is_empty()),
            "{of_role:?}"
        );
    }
    // The table stays one where its lines are drawn as blocks.
    let cells = nodes
        .iter()
        .filter(|node| node.0 == "cell" || node.0 == "gridcell");
    assert!(cells.count() >= 7 * 7, "{nodes:?}");
    let alerts = nodes.iter().filter(|node| node.0 == "alert").count();
    assert!(alerts <= 2, "{alerts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_is_shown_as_text() {
    let (followed, mut browser) = followed_and_browser!();
    let texts: Vec<String> = payloads().into_iter().step_by(25).collect();
    let at = format!("{}T00:00:00+08:00", today());
    for (n, text) in texts.iter().enumerate() {
        let (label, group) = (short(text), short(text));
        let code = json!({"scene_id": n + 1, "permanent": true, "label": label, "group": group});
        followed.code(&code).await;
        let deed = Deed {
            who: "oStranger",
            kind: EventKind::Scan,
            at: &at,
            code: Some(("gQelsewhere", text)),
        };
        followed.record(&[deed]).await;
    }
    let mut page = browser.page(Screen::DESK).await;
    let listen = json!({"source": "window.hits = 0; window.hit = () => { window.hits++ };"});
    page.call("Page.addScriptToEvaluateOnNewDocument", listen)
        .await;
    page.open_board(&followed, "en").await;
    let lines = page.eval("[...document.querySelectorAll('#channels tbody tr')].map(line => [...line.cells].slice(0, 3).map(it => it.textContent))").await;
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 2 * texts.len());
    for (n, text) in texts.iter().enumerate() {
        let named = json!([short(text), format!("{} permanent", n + 1), short(text)]);
        assert!(lines.contains(&named), "{named}");
        let strange = json!([text, format!("{text} unattributed"), ""]);
        assert!(lines.contains(&strange), "{strange}");
    }
    let inside = "document.querySelectorAll('#channels :is(img, svg, script, style, iframe, a, form, input)').length";
    assert_eq!(page.eval(inside).await, json!(0));
    assert_eq!(page.eval("window.hits").await, json!(0));
    // The name of the chosen one is shown elsewhere too.
    page.click("#channels tbody button:not(:disabled)").await;
    page.until("!document.querySelector('#all').hidden").await;
    assert_eq!(page.eval("subject.childElementCount").await, json!(0));
    let complaints = page.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// As much of a text as a label may have.
fn short(text: &str) -> String {
    text.chars().take(100).collect::<String>().trim().to_owned()
}

/// The page has what was true before the scan, and must notice that it is no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_comes_while_the_numbers_are_on_their_way_is_not_missed() {
    let (followed, mut browser) = followed_and_browser!();
    let ticket = followed.code(&json!({"scene_id": 1})).await;
    let at = format!("{}T00:00:00+08:00", today());
    let deed = |who| Deed {
        who,
        kind: EventKind::Scan,
        at: &at,
        code: Some((&ticket, "1")),
    };
    let mut page = browser.page(Screen::DESK).await;
    let script = json!({"source": UNDER_CONTROL});
    page.call("Page.addScriptToEvaluateOnNewDocument", script)
        .await;
    page.open_board(&followed, "en").await;
    page.until("timers.length === 1").await;
    let held = "
        window.held = 0;
        window.release = null;
        const gate = new Promise(done => { release = done });
        window.answer = async (path, options) => {
            const answer = await service(path, options);
            if (path.includes('/api/stats')) { held += 1; await gate }
            return answer;
        };";
    page.eval(held).await;
    followed.record(&[deed("oFirst")]).await;
    page.eval("void timers.at(-1).callback()").await;
    page.until("held === 3").await;
    followed.record(&[deed("oSecond")]).await;
    page.eval("release()").await;
    let scans = "document.querySelector('[data-number=scans]').textContent";
    page.until(&format!("{scans} === '1'")).await;
    page.until("timers.length === 2").await;
    page.eval("tick()").await;
    assert_eq!(page.text(scans).await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_paper_the_page_says_its_period() {
    let (followed, mut browser) = followed_and_browser!();
    four_weeks(&followed).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_board(&followed, "zh").await;
    let said = "['#period', '#searched'].map(id => document.querySelector(id)).map(it => it.checkVisibility() ? it.textContent : '')";
    let one_day = "document.querySelector('#readout').checkVisibility()";
    assert_eq!(page.eval(said).await, json!(["", ""]), "the fields say it");
    assert_eq!(page.eval(one_day).await, json!(true));
    let media = json!({"media": "print"});
    page.call("Emulation.setEmulatedMedia", media).await;
    let (from, to) = (today() - 29.days(), today());
    let period = format!("{from} 至 {to}");
    assert_eq!(page.eval(said).await, json!([period, ""]));
    assert_eq!(
        page.eval(one_day).await,
        json!(false),
        "it depends on the mouse"
    );
    // The totals are those of all channels; the search is of the lines below them.
    page.call("Emulation.setEmulatedMedia", json!({"media": ""}))
        .await;
    page.fill("#search", "poster-").await;
    page.call("Emulation.setEmulatedMedia", json!({"media": "print"}))
        .await;
    let want = json!([period, "搜索“poster-”"]);
    assert_eq!(page.eval(said).await, want);
    let below = "document.querySelector('#chart').compareDocumentPosition(document.querySelector('#searched')) & Node.DOCUMENT_POSITION_FOLLOWING";
    assert_ne!(page.eval(below).await, json!(0));
    // No heading is left alone at the foot of a page.
    let headings = "[...document.querySelectorAll('.stats .bar:has(h2), #channels thead')].map(it => getComputedStyle(it).breakAfter)";
    assert_eq!(
        page.eval(headings).await,
        json!(["avoid", "avoid", "avoid"])
    );
    // Paper is as narrow as a small screen, and has the totals side by side.
    let mut page = browser.page(Screen::PHONE).await;
    page.open_board(&followed, "en").await;
    page.call("Emulation.setEmulatedMedia", json!({"media": "print"}))
        .await;
    let columns =
        "getComputedStyle(document.querySelector('.tiles')).gridTemplateColumns.split(' ').length";
    assert_eq!(page.eval(columns).await, json!(5));
}
