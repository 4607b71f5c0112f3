//! Markup injection (XSS): elements and scripts in everything that might be shown to others.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::keys;
use crate::support::payloads::{encoded, payloads};

/// How many requests are under way at once.
const ABREAST: usize = 16;

/// What a harmless text gets in a payload's place: an answer with the same elements.
const HARMLESS: &str = "harmless";

/// The same for a payload with a blank at an end, which a permanent code's scene may not have.
const HARMLESS_BESIDE_A_BLANK: &str = " harmless";

/// Parameters of `/qrcode` that do not take just any text.
const CHECKED: &[&str] = &[
    "scene_id",
    "permanent",
    "expire_seconds",
    "format",
    "fragment",
    "size",
    "margin",
    "color",
    "bg",
    "lang",
    "exp",
    "sig",
];

/// Makes the request that sends a text to an injection point.
type Ask = Box<dyn Fn(&TestApp, &str) -> RequestBuilder + Send + Sync>;

/// A part of a request that takes a text from outside.
struct InjectionPoint {
    name: String,
    ask: Ask,
}

impl InjectionPoint {
    fn new(
        name: impl Into<String>,
        ask: impl Fn(&TestApp, &str) -> RequestBuilder + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            ask: Box::new(ask),
        }
    }

    /// By an address with a `{}` for the text.
    fn at(path: impl Into<String>) -> Self {
        let path = path.into();
        Self::new(path.clone(), move |app, text| {
            app.request(Method::GET, &path.replace("{}", &encoded(text)))
        })
    }
}

fn injection_points() -> Vec<InjectionPoint> {
    let mut points = Vec::new();
    for lang in ["zh", "en"] {
        points.extend([
            InjectionPoint::at(format!("/?scene_str={{}}&lang={lang}")),
            InjectionPoint::at(format!("/?scene_id={{}}&lang={lang}")),
            InjectionPoint::at(format!("/?scene_id=1&expire_seconds={{}}&lang={lang}")),
            InjectionPoint::at(format!("/?scene_str={{}}&permanent=true&lang={lang}")),
            InjectionPoint::at(format!("/qrcode.html?scene_str={{}}&lang={lang}")),
            InjectionPoint::at(format!(
                "/qrcode.html?scene_str={{}}&fragment=1&lang={lang}"
            )),
            InjectionPoint::at(format!(
                "/qrcode.html?scene_str={{}}&permanent=true&lang={lang}"
            )),
            InjectionPoint::at(format!("/qrcode.html?scene_id={{}}&fragment=1&lang={lang}")),
            InjectionPoint::at(format!("/qrcode/{{}}?lang={lang}")),
            InjectionPoint::at(format!("/{{}}?lang={lang}")),
            InjectionPoint::new(format!("the request's id, {lang}"), move |app, text| {
                let request =
                    app.request(Method::GET, &format!("/qrcode.html?scene_id=0&lang={lang}"));
                request.header("x-request-id", text)
            }),
        ]);
    }
    for format in ["json", "svg", "png", "jpg"] {
        points.push(InjectionPoint::at(format!(
            "/qrcode.{format}?scene_str={{}}"
        )));
        points.push(InjectionPoint::at(format!(
            "/qrcode.{format}?scene_id={{}}"
        )));
    }
    for checked in CHECKED {
        let scene = if *checked == "scene_id" {
            ""
        } else {
            "scene_id=1&"
        };
        for path in ["/qrcode.html", "/qrcode.json", "/qrcode"] {
            points.push(InjectionPoint::at(format!("{path}?{scene}{checked}={{}}")));
        }
    }
    points.push(InjectionPoint::at("/qrcode.html?scene_id=1&{}=1"));
    points.push(InjectionPoint::at("/?lang={}"));
    points.extend(api_injection_points());
    points
}

fn api_injection_points() -> [InjectionPoint; 3] {
    let post = |app: &TestApp, body: serde_json::Value| {
        let request = app.request(Method::POST, "/api/codes");
        request.bearer_auth(keys::ADMIN).body(body.to_string())
    };
    [
        InjectionPoint::new("the name of a field", move |app, text| {
            post(app, json!({"scene_id": 1, text: 1}))
        }),
        InjectionPoint::new("a label", move |app, text| {
            post(app, json!({"scene_id": 1, "label": text, "group": text}))
        }),
        InjectionPoint::new("a filter", |app, text| {
            let path = format!("/api/codes?label={}", encoded(text));
            app.request(Method::GET, &path).bearer_auth(keys::ADMIN)
        }),
    ]
}

/// What makes a page's elements, and what it says about itself.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    status: u16,
    headers: Vec<String>,
    content_type: String,
    /// How often each of the letters that markup is made of is there, in a page or a drawing.
    markup: BTreeMap<char, usize>,
}

impl Shape {
    fn of(answer: &Answer) -> Self {
        let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        headers.sort_unstable();
        let content_type = answer.header("content-type");
        let is_markup = ["text/html", "image/svg+xml"]
            .iter()
            .any(|kind| content_type.starts_with(kind));
        Self {
            status: answer.status.as_u16(),
            headers,
            markup: if is_markup {
                markup(answer.text())
            } else {
                BTreeMap::new()
            },
            content_type,
        }
    }
}

fn markup(text: &str) -> BTreeMap<char, usize> {
    let mut found = BTreeMap::new();
    for (at, letter) in text.char_indices() {
        let counts = match letter {
            '<' | '>' | '"' | '\'' => true,
            // What was escaped has a number.
            '&' => !text[at..].starts_with("&#"),
            _ => false,
        };
        if counts {
            *found.entry(letter).or_default() += 1;
        }
    }
    found
}

/// What is wrong with an answer that has a payload in it; none if nothing is.
fn flaw(answer: &Answer, app: &TestApp, payload: &str) -> Option<&'static str> {
    if answer.header("x-content-type-options") != "nosniff" {
        return Some("it may be taken for another type");
    }
    let kind = answer.header("content-type");
    if kind.contains("json") && !says(answer, payload) {
        return Some("the document says another text");
    }
    if kind == "image/png" && !answer.body.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("it is no picture");
    }
    let name = answer.header("content-disposition");
    if !name.is_empty() && !names(&name, payload) {
        return Some("the file has another name");
    }
    let wechat = format!("http://{}/cgi-bin/showqrcode?ticket=", app.sandbox_address);
    let leads_to = answer.header("location");
    if !leads_to.is_empty() && !leads_to.starts_with(&wechat) {
        return Some("it leads elsewhere");
    }
    None
}

/// Whether the texts of a document are exactly what was given.
fn says(answer: &Answer, payload: &str) -> bool {
    let json = answer.json();
    let texts = ["scene_str", "label", "group"]
        .iter()
        .filter_map(|name| json.get(name));
    let mut texts = texts.filter(|_| answer.status.is_success());
    texts.all(|text| text == payload)
}

/// Whether a file's name is letters for old programs, and everything by its code for new ones.
fn names(header: &str, payload: &str) -> bool {
    let halves = header
        .strip_prefix("inline; filename=\"")
        .and_then(|rest| rest.split_once("\"; filename*=UTF-8''"));
    let Some((plain, rest)) = halves else {
        return false;
    };
    let is_plain = |text: &str, more: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let full = percent_encoding::percent_decode_str(rest)
        .decode_utf8()
        .unwrap();
    let named = payload.replace(['/', '\\'], "_");
    is_plain(plain, "-_.")
        && is_plain(rest, "-_.~%")
        && full.starts_with(&format!("qrcode-{named}-until-"))
}

/// Whether a payload begins or ends with a space, or with the one invisible character that some
/// begin with: the override of the direction of writing.
fn has_a_blank_at_an_end(payload: &str) -> bool {
    let is_blank = |letter: char| letter.is_whitespace() || letter == '\u{202e}';
    payload.starts_with(is_blank) || payload.ends_with(is_blank)
}

/// None where the text cannot be sent there: a header does not take every text.
async fn ask(request: RequestBuilder) -> Option<Answer> {
    match Answer::to_willing_once_free(request).await {
        Err(error) if error.is_builder() => None,
        answer => Some(answer.unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_writes_is_shown_as_text_in_every_format() {
    let app = TestApp::with().spawn().await;
    let (points, payloads) = (injection_points(), payloads());
    let (mut looked_at, mut flaws) = (0, Vec::new());
    // In small, each point meets another part of them.
    let step = sized(8, 1);
    for (n, point) in points.iter().enumerate() {
        let mut wanted = Vec::new();
        for text in [HARMLESS, HARMLESS_BESIDE_A_BLANK] {
            let harmless = Answer::once_the_database_is_free((point.ask)(&app, text)).await;
            assert_ne!(harmless.status, 500, "{}", point.name);
            wanted.push(Shape::of(&harmless));
        }
        let part = payloads.iter().skip(n % step).step_by(step);
        let asking = part.map(|payload| {
            let request = (point.ask)(&app, payload);
            async move { (payload, ask(request).await) }
        });
        let mut asking = stream::iter(asking).buffer_unordered(ABREAST);
        while let Some((payload, answer)) = asking.next().await {
            let Some(answer) = answer else { continue };
            looked_at += 1;
            let want = &wanted[usize::from(has_a_blank_at_an_end(payload))];
            let differs = Shape::of(&answer) != *want;
            let flaw = flaw(&answer, &app, payload).or(differs.then_some("it has another shape"));
            flaws.extend(
                flaw.map(|flaw| format!("{flaw}: {payload:?} at {}: {answer:?}", point.name)),
            );
        }
    }
    assert!(flaws.is_empty(), "{} flaws: {}", flaws.len(), flaws[0]);

    let mut figures = Figures::of(format!(
        "{} texts that try to be elements or scripts, at {} places in every format",
        grouped(payloads.len()),
        points.len()
    ));
    figures.report("answers looked at", grouped(looked_at));
    figures.exactly(
        "unescaped, with another element or another header",
        0,
        flaws.len(),
    );
}
