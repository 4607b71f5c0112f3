//! What the pages of the console share: titles, the main menu, and texts for their scripts.

use std::iter;
use std::sync::Arc;

use jiff::tz::Offset;

use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::problem::ErrorCode;
use crate::http::site::Site;

/// A page of the console.
#[derive(Debug)]
pub(in crate::http::pages) struct Frame {
    site: Arc<Site>,
    view: View,
    page: ConsolePage,
    /// Minutes between UTC and local time.
    pub(in crate::http::pages) offset: i32,
    pub(in crate::http::pages) home: String,
    pub(in crate::http::pages) codes: String,
    pub(in crate::http::pages) stats: String,
    pub(in crate::http::pages) other_language: String,
}

/// What differs from page to page.
#[derive(Debug, Clone, Copy)]
pub(in crate::http::pages) struct ConsolePage {
    pub(in crate::http::pages) path: &'static str,
    pub(in crate::http::pages) title: [&'static str; 2],
    pub(in crate::http::pages) lead: [&'static str; 2],
    /// The module that runs it, in `templates/console/`.
    pub(in crate::http::pages) script: &'static str,
}

/// Errors whose titles the pages show as they are.
const SHOWN_PROBLEMS: &[ErrorCode] = &[
    ErrorCode::InvalidParameter,
    ErrorCode::InvalidBody,
    ErrorCode::SceneRefused,
    ErrorCode::ScopeMissing,
    ErrorCode::PermanentStockExhausted,
    ErrorCode::AlreadyRecorded,
    ErrorCode::TooLarge,
    ErrorCode::UriTooLong,
    ErrorCode::Internal,
    ErrorCode::UpstreamRefused,
    ErrorCode::UpstreamUnreachable,
    ErrorCode::UpstreamInvalid,
    ErrorCode::UpstreamBusy,
    ErrorCode::UpstreamQuota,
    ErrorCode::UpstreamTimeout,
    ErrorCode::AccountBlocked,
    ErrorCode::RateLimited,
    ErrorCode::StoreUnavailable,
    ErrorCode::Overloaded,
];

impl Frame {
    pub(in crate::http::pages) fn new(
        site: Arc<Site>,
        view: View,
        time_zone: Offset,
        page: ConsolePage,
    ) -> Self {
        let other_lang = iter::once(("lang", view.lang.pick("en", "zh")));
        Self {
            view,
            offset: time_zone.seconds() / 60,
            home: site.link("/", view.lang_pair()),
            codes: site.link("/codes", view.lang_pair()),
            stats: site.link("/stats", view.lang_pair()),
            other_language: site.link(page.path, other_lang),
            page,
            site,
        }
    }

    pub(in crate::http::pages) fn title(&self) -> &'static str {
        self.pick(self.page.title)
    }

    pub(in crate::http::pages) fn lead(&self) -> &'static str {
        self.pick(self.page.lead)
    }

    fn pick(&self, [zh, en]: [&'static str; 2]) -> &'static str {
        self.view.lang.pick(zh, en)
    }

    /// A link to another page, in the language that was asked for.
    pub(in crate::http::pages) fn link(&self, path: &str) -> String {
        self.site.link(path, self.view.lang_pair())
    }

    /// The attribute that marks the menu's entry of this page.
    pub(in crate::http::pages) fn current(&self, path: &str) -> &'static str {
        match self.page.path {
            here if here == path => " aria-current=page",
            here if here.starts_with(path) => " aria-current=true",
            _ => "",
        }
    }

    /// The address of the page's script.
    ///
    /// A path, because the page's policy allows scripts of its own origin only, which need not be
    /// that of the public URL.
    pub(in crate::http::pages) fn script(&self) -> String {
        format!("{}/assets/{}", self.site.base_path(), self.page.script)
    }

    pub(in crate::http::pages) fn demo_key(&self) -> Option<&str> {
        self.site.demo_key.as_deref()
    }

    /// The names of errors, and their titles in the page's language.
    pub(in crate::http::pages) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let lang: Lang = self.view.lang;
        let problems = SHOWN_PROBLEMS.iter();
        problems
            .map(|code| (code.as_str(), code.title(lang)))
            .collect()
    }
}
