//! `GET /`: what this is, and a form that builds a link and shows its code.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::Response;

use super::AppState;
use super::auth::Authenticated;
use super::pages::{self, Form, HomePage, HomeResult, Snippet, image_element};
use super::params::Query;
use super::problem::Problem;
use super::view::View;
use crate::access::Caller;
use crate::scene::CodeSpec;

/// What the demo shows before anyone has asked for anything.
const DEMO_QUERY: &str = "scene_id=123";

/// What a link says instead of a host where none is configured; the page's script knows it.
const UNKNOWN_ORIGIN: &str = "{origin}";

pub(crate) async fn show(
    State(app): State<AppState>,
    Extension(view): Extension<View>,
    Authenticated(caller): Authenticated,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let raw = match raw.as_deref().unwrap_or_default() {
        "" if app.site.sandbox => DEMO_QUERY,
        raw => raw,
    };
    let (query, result) = match Query::parse(raw) {
        Ok(query) => {
            let query = query.without_blanks();
            let result = result(&app, view, &caller, &query).await;
            (query, result)
        }
        Err(problem) => (Query::default(), Err(problem)),
    };
    let result = result.unwrap_or_else(|problem| HomeResult::Problem {
        title: problem.code.title(view.lang),
        explanation: problem.explanation(view.lang),
    });
    let other_language = view.lang.pick("/?lang=en", "/?lang=zh");
    let none = || std::iter::empty::<(&str, &str)>();
    let page = HomePage {
        site: &app.site,
        lang: view.lang,
        form: form(&query),
        default_expire: app.default_expire.as_secs(),
        result,
        action: app.site.link("/", none()),
        openapi: app.site.link("/openapi.json", none()),
        other_language: app.site.link(other_language, none()),
    };
    let mut response = pages::page(&page, app.site.home_page_policy())?;
    if let Some(vary) = view.vary_of_a_page() {
        response.headers_mut().insert(header::VARY, vary);
    }
    Ok(response)
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
    caller: &Caller,
    query: &Query,
) -> Result<HomeResult, Problem> {
    query.lang()?;
    if query.get("scene_id").is_none() && query.get("scene_str").is_none() {
        return Ok(HomeResult::Empty);
    }
    // The form always sends a life, if one was typed; with a permanent code it has no meaning.
    let spec = query.code_spec(app.default_expire)?;
    let served = app.codes.issue(&spec, caller).await?;
    Ok(HomeResult::Code {
        image: image_element(&app.site, &served.code.ticket, view.lang)?,
        page: app.site.link("/qrcode", query.picture_link_pairs()),
        phone: app
            .site
            .sandbox
            .then(|| served.code.url.as_str().to_owned()),
        snippets: snippets(app, view, query, &spec),
    })
}

fn snippets(app: &AppState, view: View, query: &Query, spec: &CodeSpec) -> Vec<Snippet> {
    let link = |path: &str| {
        let link = app.site.link(path, query.picture_link_pairs());
        if link.starts_with('/') {
            format!("{UNKNOWN_ORIGIN}{link}")
        } else {
            link
        }
    };
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
            "<iframe src=\"{}\" title=\"{alt}\" width=\"480\" height=\"700\"></iframe>",
            attribute("/qrcode")
        );
        let title = view
            .lang
            .pick("内嵌页面（自动更新）", "Frame (renews itself)");
        snippets.insert(1, Snippet { title, text });
    }
    snippets
}
