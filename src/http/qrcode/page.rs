//! The page of a code, and the image element in it.

use askama::Template;
use jiff::Timestamp;
use wechat::ticket::Ticket;

use crate::clock::China;
use crate::http::html::csp::{RENEW_SCRIPT, STYLE};
use crate::http::html::render;
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::http::time_format::rfc3339;

/// The visitor's page of a code.
#[derive(Debug, Template)]
#[template(path = "code.html")]
pub(crate) struct CodePage<'a> {
    pub(crate) site: &'a Site,
    pub(crate) lang: Lang,
    /// The URL of WeChat's picture, for `image.html`, which the template includes.
    pub(crate) src: &'a str,
    pub(crate) expiry: Option<Expiry>,
    /// Seconds until the page fetches a newer code.
    pub(crate) renew_in: Option<u64>,
}

/// When a code expires, for people and for programs.
#[derive(Debug)]
pub(crate) struct Expiry {
    pub(crate) machine: String,
    pub(crate) human: String,
}

impl Expiry {
    pub(crate) fn new(at: Timestamp) -> Self {
        let human = China::time(at).strftime("%Y-%m-%d %H:%M").to_string();
        Self {
            machine: rfc3339(at),
            human,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "image.html")]
struct ImageElement<'a> {
    lang: Lang,
    src: &'a str,
}

/// Renders WeChat's own picture of the ticket, the one element that works by press and hold inside
/// WeChat.
pub(crate) fn image_element(site: &Site, ticket: &Ticket, lang: Lang) -> Result<String, Problem> {
    let src = site.image_url(ticket);
    render(&ImageElement { lang, src: &src })
}
