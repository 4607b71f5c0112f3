//! An error as a page, or as one line of HTML.

use askama::Template;
use axum::response::Response;

use crate::http::html::csp::STYLE;
use crate::http::html::page;
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// Seconds until a code's error page reloads itself. Chosen: short enough for a waiting visitor,
/// and long enough not to probe a failing upstream often.
const RELOAD_SECONDS: u64 = 30;

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

/// An error in place of an image element.
#[derive(Debug, Template)]
#[template(path = "problem_fragment.html")]
struct ProblemFragment {
    lang: Lang,
    title: &'static str,
    explanation: String,
}

/// Renders the page of an error. In place of a code's page it reloads by itself where waiting may
/// help, for screens without a person to reload it.
pub(crate) fn problem_page(
    site: &Site,
    problem: &Problem,
    lang: Lang,
    of_code: bool,
    request_id: &str,
) -> Result<Response, Problem> {
    let retry_after = problem.retry_after_seconds();
    let reloads = of_code && problem.code.is_transient();
    let template = ProblemPage {
        site,
        lang,
        title: problem.code.title(lang),
        explanation: problem.explanation(lang),
        status: problem.code.status().as_u16(),
        code: problem.code.as_str(),
        errcode: problem.errcode.map(|errcode| errcode.0),
        retry_after,
        try_again_in: reloads.then(|| retry_after.unwrap_or(0).max(RELOAD_SECONDS)),
        request_id,
    };
    page(&template, site.problem_page_policy(of_code))
}

/// Renders the error line that replaces the image element.
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
