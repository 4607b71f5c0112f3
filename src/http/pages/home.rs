//! `GET /`: what this is, and a form that builds a link and shows its code.

use std::iter;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use wechat::scene::{Lifetime, SceneText};

use crate::clock::Clock;
use crate::codes::Codes;
use crate::http::extract::authenticator::{Authenticator, Identity};
use crate::http::extract::query::QrcodeQuery;
use crate::http::html;
use crate::http::html::csp::{DEMO_SCRIPT, FORMS_STYLE, HOME_SCRIPT, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::pages::by_language::{PageByLanguage, static_page};
use crate::http::pages::demo;
use crate::http::pages::snippets::{self, Snippet};
use crate::http::problem::{ErrorCode, Problem};
use crate::http::qrcode::issue::issue;
use crate::http::qrcode::page::{Expiry, image_element};
use crate::http::site::Site;
use crate::http::static_response::StaticResponse;

/// The temporary code that the demo shows before a scene is filled in, by its `scene_id`.
pub(crate) const DEMO_SCENE: &str = "123";

#[derive(Debug, Template)]
#[template(path = "home.html")]
pub(super) struct HomePage<'a> {
    pub(super) site: &'a Site,
    pub(super) lang: Lang,
    pub(super) form: Form<'a>,
    pub(super) default_expire: u32,
    pub(super) result: HomeResult,
    /// The parameter at fault.
    pub(super) at_fault: Option<String>,
    pub(super) codes: String,
    pub(super) stats: String,
    pub(super) openapi: String,
    pub(super) other_language: String,
}

/// What the form was filled in with.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) scene_id: &'a str,
    pub(super) scene_str: &'a str,
    pub(super) expire_seconds: &'a str,
    pub(super) permanent: bool,
    pub(super) lang: Option<&'a str>,
}

/// What the first page shows beside its form.
#[derive(Debug)]
pub(super) enum HomeResult {
    Empty,
    Problem {
        title: &'static str,
        explanation: String,
        /// Where the owner creates the code with a key, if that helps.
        console: Option<String>,
    },
    Code {
        image: String,
        expiry: Option<Expiry>,
        /// Its own page, and the page that plays a phone which scans it.
        page: String,
        phone: Option<String>,
        /// Where the numbers of the code are, in the demo.
        numbers: Option<String>,
        /// Pictures to take away.
        png: String,
        svg: String,
        snippets: Vec<Snippet>,
    },
}

/// The parts of the service that the page uses.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) site: Arc<Site>,
    pub(crate) codes: Arc<Codes>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) default_expire: Lifetime,
}

pub(crate) async fn show(
    State(home): State<Home>,
    Extension(view): Extension<View>,
    identity: Identity,
    Extension(empty_pages): Extension<Arc<PageByLanguage>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let raw = raw.unwrap_or_default();
    if !home.site.sandbox && matches!(raw.as_str(), "" | "lang=zh" | "lang=en") {
        let page = empty_pages.get(view, || home.empty_page(view, &raw))?;
        return Ok(page.respond(&headers));
    }
    if home.site.sandbox && !raw.contains("scene") {
        let with_scene = format!("{raw}&scene_id={DEMO_SCENE}");
        return home.filled_page(view, identity, &with_scene).await;
    }
    home.filled_page(view, identity, &raw).await
}

impl Home {
    fn empty_page(&self, view: View, raw: &str) -> Result<StaticResponse, Problem> {
        let query = QrcodeQuery::parse(raw)?;
        let page = self.page(view, &query, HomeResult::Empty, None);
        static_page(&page, self.site.home_page_policy())
    }

    /// The page with the code that was asked for, or with what is wrong.
    async fn filled_page(
        &self,
        view: View,
        identity: Identity,
        raw: &str,
    ) -> Result<Response, Problem> {
        let (query, result) = match QrcodeQuery::parse(raw) {
            Ok(query) => {
                let query = without_unused_fields(query);
                let result = self.result(view, identity, &query).await;
                (query, result)
            }
            Err(problem) => (QrcodeQuery::default(), Err(problem)),
        };
        let (result, at_fault) = match result {
            Ok(result) => (result, None),
            Err(problem) => (self.problem(view, &query, &problem), problem.parameter),
        };
        let page = self.page(view, &query, result, at_fault);
        let mut response = html::page(&page, self.site.home_page_policy())?;
        if let Some(vary) = view.vary_of_a_page() {
            response.headers_mut().insert(header::VARY, vary);
        }
        Ok(response)
    }

    fn page<'a>(
        &'a self,
        view: View,
        query: &'a QrcodeQuery,
        result: HomeResult,
        at_fault: Option<String>,
    ) -> HomePage<'a> {
        let site = &*self.site;
        let other_lang = iter::once(("lang", view.lang.pick("en", "zh")));
        HomePage {
            site,
            lang: view.lang,
            form: form(query),
            default_expire: self.default_expire.as_secs(),
            result,
            at_fault,
            codes: site.link("/codes", view.lang_pair()),
            stats: site.link("/stats", view.lang_pair()),
            openapi: site.link("/openapi.json", iter::empty()),
            other_language: site.link("/", query.picture_link_pairs().chain(other_lang)),
        }
    }

    /// The code for what was filled in; nothing if no scene was.
    async fn result(
        &self,
        view: View,
        identity: Identity,
        query: &QrcodeQuery,
    ) -> Result<HomeResult, Problem> {
        query.lang()?;
        if query.get("scene_id").is_none() && query.get("scene_str").is_none() {
            return Ok(HomeResult::Empty);
        }
        let spec = query.code_spec(self.default_expire)?;
        let caller = self
            .authenticator
            .caller(identity, query, self.clock.now())?;
        let served = issue(&self.codes, &spec, &caller).await?;
        let site = &*self.site;
        let link = |path| site.link(path, query.picture_link_pairs());
        let phone = || {
            let lang = view.lang.pick("zh", "en");
            format!("{}?lang={lang}", served.code.url.as_str())
        };
        Ok(HomeResult::Code {
            image: image_element(site, &served.code.ticket, view.lang)?,
            expiry: served.code.expires_at().map(Expiry::new),
            page: link("/qrcode"),
            png: link("/qrcode.png"),
            svg: link("/qrcode.svg"),
            phone: site.sandbox.then(phone),
            numbers: site.sandbox.then(|| link(demo::PATH)),
            snippets: snippets::of_code(site, view.lang, query, &spec),
        })
    }

    /// What is wrong, and where to create a code that does not exist yet.
    fn problem(&self, view: View, query: &QrcodeQuery, problem: &Problem) -> HomeResult {
        let needs_key = problem.code == ErrorCode::MintNotAllowed;
        let mut pairs: Vec<(&str, &str)> = view.lang_pair().collect();
        for name in ["scene_id", "scene_str"] {
            pairs.extend(query.get(name).map(|scene| (name, scene)));
        }
        HomeResult::Problem {
            title: problem.code.title(view.lang),
            explanation: problem.explanation(view.lang),
            console: needs_key.then(|| self.site.link("/codes/new", pairs.into_iter())),
        }
    }
}

/// Removes fields that were left blank, and the lifetime of a permanent code: the form always sends
/// it.
fn without_unused_fields(query: QrcodeQuery) -> QrcodeQuery {
    let query = query.without_blanks();
    if query.get("permanent") == Some("true") {
        query.without("expire_seconds")
    } else {
        query
    }
}

fn form(query: &QrcodeQuery) -> Form<'_> {
    Form {
        scene_id: query.get("scene_id").unwrap_or_default(),
        scene_str: query.get("scene_str").unwrap_or_default(),
        expire_seconds: query.get("expire_seconds").unwrap_or_default(),
        permanent: query.get("permanent") == Some("true"),
        lang: query.get("lang"),
    }
}
