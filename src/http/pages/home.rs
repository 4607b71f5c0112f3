//! `GET /`: what this is, and a form that builds a link and shows its code.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;

use crate::access::Caller;
use crate::http::AppState;
use crate::http::extract::caller::Authenticated;
use crate::http::extract::query::Query;
use crate::http::html::constant::PageByLanguage;
use crate::http::html::{self, Expiry, Form, HomePage, HomeResult, Snippet, image_element};
use crate::http::negotiation::view::View;
use crate::http::pages::demo;
use crate::http::problem::{Code, Problem};
use crate::http::qrcode::issue::issue;
use crate::scene::CodeSpec;

/// What the demo shows while nobody has asked for a scene.
const DEMO_SCENE: &str = "scene_id=123";

/// What a link says instead of a host where none is configured; the page's script knows it.
const UNKNOWN_ORIGIN: &str = "{origin}";

/// Of the frame: as wide as the column that it stands in, and as high as the page of a code at its widest, the note of the
/// sandbox included. The size is in attributes, so that it holds where a page's policy forbids inline style.
const FRAME_ATTRIBUTES: &str =
    "width=\"100%\" height=\"700\" style=\"width:100%;max-width:430px;border:0\"";

pub(crate) async fn show(
    State(app): State<AppState>,
    Extension(view): Extension<View>,
    Authenticated(caller): Authenticated,
    Extension(empty_pages): Extension<Arc<PageByLanguage>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut raw = raw.unwrap_or_default();
    if !app.site.sandbox && matches!(raw.as_str(), "" | "lang=zh" | "lang=en") {
        let write = || {
            let query = Query::parse(&raw)?;
            let page = home_page(&app, view, &query, HomeResult::Empty, None);
            html::constant_page(&page, app.site.home_page_policy())
        };
        return Ok(empty_pages.get(view, write)?.answer(&headers));
    }
    if app.site.sandbox && !raw.contains("scene") {
        raw = format!("{raw}&{DEMO_SCENE}");
    }
    let (query, result) = match Query::parse(&raw) {
        Ok(query) => {
            let query = filled_in(query);
            let result = result(&app, view, caller, &query).await;
            (query, result)
        }
        Err(problem) => (Query::default(), Err(problem)),
    };
    let (result, at_fault) = match result {
        Ok(result) => (result, None),
        Err(problem) => (trouble(&app, view, &query, &problem), problem.parameter),
    };
    let page = home_page(&app, view, &query, result, at_fault);
    let mut response = html::page(&page, app.site.home_page_policy())?;
    if let Some(vary) = view.vary_of_a_page() {
        response.headers_mut().insert(header::VARY, vary);
    }
    Ok(response)
}

fn home_page<'a>(
    app: &'a AppState,
    view: View,
    query: &'a Query,
    result: HomeResult,
    at_fault: Option<String>,
) -> HomePage<'a> {
    let other_lang = [("lang", view.lang.pick("en", "zh"))];
    let none = || std::iter::empty::<(&str, &str)>();
    HomePage {
        site: &app.site,
        lang: view.lang,
        form: form(query),
        default_expire: app.default_expire.as_secs(),
        result,
        at_fault,
        stats: app.site.link("/stats", view.lang_pair()),
        openapi: app.site.link("/openapi.json", none()),
        other_language: app
            .site
            .link("/", query.picture_link_pairs().chain(other_lang)),
    }
}

/// What the form means: fields that were left blank are not given, and the life that may stand in the field has no
/// meaning with a permanent code.
fn filled_in(query: Query) -> Query {
    let query = query.without_blanks();
    if query.get("permanent") == Some("true") {
        query.without("expire_seconds")
    } else {
        query
    }
}

fn form(query: &Query) -> Form<'_> {
    Form {
        scene_id: query.get("scene_id").unwrap_or_default(),
        scene_str: query.get("scene_str").unwrap_or_default(),
        expire_seconds: query.get("expire_seconds").unwrap_or_default(),
        permanent: query.get("permanent") == Some("true"),
        lang: query.get("lang"),
    }
}

/// The code for what was filled in; nothing while nothing was.
async fn result(
    app: &AppState,
    view: View,
    caller: Caller,
    query: &Query,
) -> Result<HomeResult, Problem> {
    query.lang()?;
    if query.get("scene_id").is_none() && query.get("scene_str").is_none() {
        return Ok(HomeResult::Empty);
    }
    let spec = query.code_spec(app.default_expire)?;
    let caller = app.access.of_link(caller, query, app.clock.now())?;
    let served = issue(app, &spec, &caller).await?;
    let link = |path| app.site.link(path, query.picture_link_pairs());
    Ok(HomeResult::Code {
        image: image_element(&app.site, &served.code.ticket, view.lang)?,
        expiry: served.code.expires_at().map(Expiry::new),
        page: link("/qrcode"),
        png: link("/qrcode.png"),
        svg: link("/qrcode.svg"),
        phone: app.site.sandbox.then(|| {
            format!(
                "{}?lang={}",
                served.code.url.as_str(),
                view.lang.pick("zh", "en")
            )
        }),
        numbers: app.site.sandbox.then(|| link(demo::PATH)),
        snippets: snippets(app, view, query, &spec),
    })
}

/// What went wrong, and for a code that nobody has made yet, how to make it.
fn trouble(app: &AppState, view: View, query: &Query, problem: &Problem) -> HomeResult {
    let mut snippets = Vec::new();
    if problem.code == Code::MintNotAllowed {
        snippets.push(Snippet {
            title: view.lang.pick("用密钥生成", "Make it with a key"),
            text: format!(
                "curl -H 'Authorization: Bearer API_KEY' '{}'",
                whole_link(app, query, "/qrcode.json")
            ),
        });
    }
    HomeResult::Problem {
        title: problem.code.title(view.lang),
        explanation: problem.explanation(view.lang),
        snippets,
    }
}

/// A link that works on other people's pages.
fn whole_link(app: &AppState, query: &Query, path: &str) -> String {
    let link = app.site.link(path, query.picture_link_pairs());
    if link.starts_with('/') {
        format!("{UNKNOWN_ORIGIN}{link}")
    } else {
        link
    }
}

fn snippets(app: &AppState, view: View, query: &Query, spec: &CodeSpec) -> Vec<Snippet> {
    let link = |path: &str| whole_link(app, query, path);
    let alt = view.lang.pick("微信二维码", "WeChat QR code");
    let attribute = |path: &str| link(path).replace('&', "&amp;");
    let mut snippets = vec![
        Snippet {
            title: view.lang.pick("图片", "Picture"),
            text: format!(
                "<img src=\"{}\" alt=\"{alt}\" width=\"430\" height=\"430\">",
                attribute("/qrcode.png")
            ),
        },
        Snippet {
            title: "JSON",
            text: format!("curl '{}'", link("/qrcode.json")),
        },
    ];
    // A page renews a code that dies; a permanent one needs no frame.
    if spec.lifetime().is_some() {
        let text = format!(
            "<iframe src=\"{}\" title=\"{alt}\" {FRAME_ATTRIBUTES}></iframe>",
            attribute("/qrcode")
        );
        let title = view
            .lang
            .pick("内嵌页面，到期前自动更新", "Frame, renews itself");
        snippets.insert(1, Snippet { title, text });
    }
    snippets
}
