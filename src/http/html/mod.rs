//! The pages, from `templates/`: what each needs to be filled in.

pub(crate) mod constant;
pub(crate) mod site;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;

use crate::clock::China;
use crate::http::api::stats::definitions::{Definitions, Names};
use crate::http::html::constant::{BY_TAG, Constant};
use crate::http::html::site::{
    DEMO_SCRIPT, HOME_SCRIPT, RENEW_SCRIPT, STATS_SCRIPT, STATS_STYLE, STYLE, Site,
};
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::telemetry::Causes;
use crate::ticket::Ticket;

/// The visitor's page of a code.
#[derive(Debug, Template)]
#[template(path = "code.html")]
pub(crate) struct CodePage<'a> {
    pub(crate) site: &'a Site,
    pub(crate) lang: Lang,
    /// An image element, from [`image_element`].
    pub(crate) image: String,
    pub(crate) expiry: Option<Expiry>,
    /// Seconds until the page should show a newer code.
    pub(crate) renew_in: Option<u64>,
}

/// When a code dies, for people and for programs.
#[derive(Debug)]
pub(crate) struct Expiry {
    pub(crate) machine: String,
    pub(crate) human: String,
}

impl Expiry {
    pub(crate) fn new(at: Timestamp) -> Self {
        let human = China::time(at).strftime("%Y-%m-%d %H:%M").to_string();
        Self {
            machine: whole_seconds(at),
            human,
        }
    }
}

/// The first page.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) site: &'a Site,
    pub(crate) lang: Lang,
    pub(crate) form: Form<'a>,
    pub(crate) default_expire: u32,
    pub(crate) result: HomeResult,
    /// The parameter that the result complains of.
    pub(crate) at_fault: Option<String>,
    pub(crate) stats: String,
    pub(crate) openapi: String,
    pub(crate) other_language: String,
}

/// What the form was filled in with.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    pub(crate) scene_id: &'a str,
    pub(crate) scene_str: &'a str,
    pub(crate) expire_seconds: &'a str,
    pub(crate) permanent: bool,
    pub(crate) lang: Option<&'a str>,
}

/// What the first page shows beside its form.
#[derive(Debug)]
pub(crate) enum HomeResult {
    Empty,
    Problem {
        title: &'static str,
        explanation: String,
        /// What helps out of it.
        snippets: Vec<Snippet>,
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

/// Something to copy.
#[derive(Debug)]
pub(crate) struct Snippet {
    pub(crate) title: &'static str,
    pub(crate) text: String,
}

/// The statistics. The numbers are not in it: its script asks for them with the key that is typed.
#[derive(Debug, Template)]
#[template(path = "stats.html")]
pub(crate) struct StatsPage<'a> {
    pub(crate) site: &'a Site,
    pub(crate) lang: Lang,
    pub(crate) names: Names,
    pub(crate) definitions: Definitions,
    /// Minutes between UTC and local time.
    pub(crate) offset: i32,
    pub(crate) time_zone: String,
    pub(crate) has_callback: bool,
    pub(crate) home: String,
    pub(crate) openapi: String,
    pub(crate) other_language: String,
}

/// An error in place of a page.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    site: &'a Site,
    lang: Lang,
    title: &'static str,
    explanation: String,
    status: u16,
    code: &'static str,
    errcode: Option<i64>,
    retry_after: Option<u64>,
    /// In how many seconds the page asks again by itself.
    try_again_in: Option<u64>,
    request_id: &'a str,
}

#[derive(Debug, Template)]
#[template(path = "image.html")]
struct ImageElement<'a> {
    lang: Lang,
    src: &'a str,
}

/// An error in place of an image element.
#[derive(Debug, Template)]
#[template(path = "problem_fragment.html")]
struct ProblemFragment {
    lang: Lang,
    title: &'static str,
    explanation: String,
}

/// The one element that a phone inside WeChat can press and hold: WeChat's own picture of the ticket.
pub(crate) fn image_element(site: &Site, ticket: &Ticket, lang: Lang) -> Result<String, Problem> {
    let src = site.image_url(ticket);
    ImageElement { lang, src: &src }
        .render()
        .map_err(|error| broken(&error))
}

/// A page that is the same for every request in its language.
pub(crate) fn constant_page(
    template: &impl Template,
    policy: HeaderValue,
) -> Result<Constant, Problem> {
    let html = template.render().map_err(|error| broken(&error))?;
    let page = Constant::new("text/html; charset=utf-8", BY_TAG, html);
    Ok(page.with(header::CONTENT_SECURITY_POLICY, policy))
}

/// A page with its content security policy.
pub(crate) fn page(template: &impl Template, policy: HeaderValue) -> Result<Response, Problem> {
    let html = template.render().map_err(|error| broken(&error))?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response())
}

/// The page of an error. In place of a code's page it comes back by itself where waiting may help, because nobody stands
/// beside a screen on a wall.
pub(crate) fn problem_page(
    site: &Site,
    problem: &Problem,
    lang: Lang,
    of_code: bool,
    request_id: &str,
) -> Result<Response, Problem> {
    /// No visitor looks much longer than that at an error, and a fault upstream is asked about no more often.
    const PAUSE_SECONDS: u64 = 30;
    let retry_after = problem.retry_after_seconds();
    let passing = of_code && problem.code.may_pass();
    let template = ProblemPage {
        site,
        lang,
        title: problem.code.title(lang),
        explanation: problem.explanation(lang),
        status: problem.code.status().as_u16(),
        code: problem.code.as_str(),
        errcode: problem.errcode.map(|errcode| errcode.0),
        retry_after,
        try_again_in: passing.then(|| retry_after.unwrap_or(0).max(PAUSE_SECONDS)),
        request_id,
    };
    page(&template, site.problem_page_policy(of_code))
}

/// The line that stands where the image element would.
pub(crate) fn problem_fragment(
    site: &Site,
    problem: &Problem,
    lang: Lang,
) -> Result<Response, Problem> {
    let title = problem.code.title(lang);
    let explanation = problem.explanation(lang);
    let line = ProblemFragment {
        lang,
        title,
        explanation,
    };
    page(&line, site.problem_fragment_policy())
}

fn broken(error: &askama::Error) -> Problem {
    tracing::error!(error = %Causes(error), "a template failed");
    Problem::internal()
}

/// RFC 3339 in UTC, without fractions.
pub(crate) fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .expect("a second of a timestamp is one")
        .to_string()
}
