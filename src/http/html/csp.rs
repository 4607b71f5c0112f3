//! The inline styles and scripts of the pages, and the content security policies (CSP) that allow
//! them by their hashes.

use std::fmt;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::http::site::Site;

// Inline, so that a page is one request.

/// The styles of every page. The pages of codes, which are asked for most, and of errors have no
/// others.
pub(crate) const STYLE: &str = include_str!("../../../templates/style.css");
/// The styles of pages with a menu and forms: the home page and the console.
pub(crate) const FORMS_STYLE: &str = include_str!("../../../templates/forms.css");
pub(crate) const CONSOLE_STYLE: &str = include_str!("../../../templates/console.css");
pub(crate) const PRINT_STYLE: &str = include_str!("../../../templates/print.css");
pub(crate) const STATS_STYLE: &str = include_str!("../../../templates/stats.css");
pub(crate) const RENEW_SCRIPT: &str = include_str!("../../../templates/renew.js");
pub(crate) const HOME_SCRIPT: &str = include_str!("../../../templates/home.js");
pub(crate) const DEMO_SCRIPT: &str = include_str!("../../../templates/demo.js");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash_source(STYLE));
static HOME_STYLE_HASHES: LazyLock<String> = LazyLock::new(|| hash_sources(&[STYLE, FORMS_STYLE]));
static RENEW_HASH: LazyLock<String> = LazyLock::new(|| hash_source(RENEW_SCRIPT));
static HOME_HASH: LazyLock<String> = LazyLock::new(|| hash_source(HOME_SCRIPT));
static DEMO_HASH: LazyLock<String> = LazyLock::new(|| hash_source(DEMO_SCRIPT));
/// The pages of the console share one policy, so it allows the styles of each.
static CONSOLE_STYLE_HASHES: LazyLock<String> =
    LazyLock::new(|| hash_sources(&[STYLE, FORMS_STYLE, CONSOLE_STYLE, PRINT_STYLE, STATS_STYLE]));

impl Site {
    /// The policy of a code's page. It shows WeChat's picture, and may be framed by whom the owner
    /// allows.
    pub(crate) fn code_page_policy(&self) -> HeaderValue {
        policy(format_args!(
            "img-src data: {}; script-src {}; form-action 'none'{}",
            self.image_base,
            *RENEW_HASH,
            self.framing()
        ))
    }

    /// The `frame-ancestors` directive of what others may frame.
    ///
    /// Where everybody may, there is no directive: `frame-ancestors *` matches network schemes only
    /// (CSP 3, 6.7.2.8), and keeps out pages from `file:` and of apps.
    fn framing(&self) -> String {
        match self.frame_ancestors.as_str() {
            "*" => String::new(),
            ancestors => format!("; frame-ancestors {ancestors}"),
        }
    }

    /// The policy of the image element, opened by itself or framed: it shows WeChat's picture.
    pub(crate) fn fragment_policy(&self) -> HeaderValue {
        let policy = format!(
            "default-src 'none'; img-src {}{}",
            self.image_base,
            self.framing()
        );
        HeaderValue::try_from(policy).expect("hosts and ancestors are checked to be plain ASCII")
    }

    /// The policy of the error line that replaces the image element.
    pub(crate) fn problem_fragment_policy(&self) -> HeaderValue {
        let policy = format!("default-src 'none'{}", self.framing());
        HeaderValue::try_from(policy).expect("ancestors are checked to be plain ASCII")
    }

    /// The policy of an SVG file, opened by itself or framed: it runs no script.
    pub(crate) fn svg_policy(&self) -> HeaderValue {
        let policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; sandbox{}",
            self.framing()
        );
        HeaderValue::try_from(policy).expect("ancestors are checked to be plain ASCII")
    }

    /// The policy of the home page, which has a form. The demo's script also fetches numbers.
    pub(crate) fn home_page_policy(&self) -> HeaderValue {
        let demo = if self.sandbox {
            format!(" {}; connect-src 'self'", *DEMO_HASH)
        } else {
            String::new()
        };
        policy_with(
            &HOME_STYLE_HASHES,
            format_args!(
                "img-src data: {}; script-src {}{demo}; form-action 'self'; frame-ancestors 'none'",
                self.image_base, *HOME_HASH
            ),
        )
    }

    /// The policy of the console's pages.
    ///
    /// Their scripts are modules of this service, which import one another: a hash would allow only
    /// the first. They fetch from this service only. Temporary codes are shown as WeChat draws
    /// them.
    pub(crate) fn console_page_policy(&self) -> HeaderValue {
        policy_with(
            &CONSOLE_STYLE_HASHES,
            format_args!(
                "img-src data: 'self' {}; script-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'",
                self.image_base
            ),
        )
    }

    /// The policy of an error page. In place of a code's page it may be framed like that page.
    pub(crate) fn problem_page_policy(&self, of_code: bool) -> HeaderValue {
        let framing = if of_code {
            self.framing()
        } else {
            "; frame-ancestors 'none'".to_owned()
        };
        policy(format_args!("img-src data:; form-action 'none'{framing}"))
    }
}

/// The directives that all pages share, and the rest, for a page with [`STYLE`] only. The icon is
/// empty data, so that no browser requests one.
fn policy(rest: fmt::Arguments<'_>) -> HeaderValue {
    policy_with(&STYLE_HASH, rest)
}

/// Like [`policy`], for a page with the styles of these hashes.
fn policy_with(styles: &str, rest: fmt::Arguments<'_>) -> HeaderValue {
    let policy = format!("default-src 'none'; style-src {styles}; base-uri 'none'; {rest}");
    HeaderValue::try_from(policy).expect("hosts and ancestors are checked to be plain ASCII")
}

fn hash_sources(inline: &[&str]) -> String {
    inline
        .iter()
        .map(|text| hash_source(text))
        .collect::<Vec<_>>()
        .join(" ")
}

fn hash_source(inline: &str) -> String {
    format!(
        "'sha256-{}'",
        BASE64_STANDARD.encode(Sha256::digest(inline))
    )
}
