//! How the service presents itself: where its links point, and what its pages may load.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::form::escaped;
use crate::ticket::Ticket;

/// The style of all pages, what the statistics need besides, and the scripts. Inline, so that a page is one request, and
/// allowed by their hashes.
pub(crate) const STYLE: &str = include_str!("../../../templates/style.css");
pub(crate) const STATS_STYLE: &str = include_str!("../../../templates/stats.css");
pub(crate) const RENEW_SCRIPT: &str = include_str!("../../../templates/renew.js");
pub(crate) const HOME_SCRIPT: &str = include_str!("../../../templates/home.js");
pub(crate) const DEMO_SCRIPT: &str = include_str!("../../../templates/demo.js");
pub(crate) const STATS_SCRIPT: &str = include_str!("../../../templates/stats.js");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash_source(STYLE));
static RENEW_HASH: LazyLock<String> = LazyLock::new(|| hash_source(RENEW_SCRIPT));
static HOME_HASH: LazyLock<String> = LazyLock::new(|| hash_source(HOME_SCRIPT));
static DEMO_HASH: LazyLock<String> = LazyLock::new(|| hash_source(DEMO_SCRIPT));
static STATS_STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash_source(STATS_STYLE));
static STATS_HASH: LazyLock<String> = LazyLock::new(|| hash_source(STATS_SCRIPT));

/// What the pages and links need to know of the set-up.
#[derive(Debug, Clone)]
pub struct Site {
    /// The base of our own links without a trailing slash; empty makes them relative to the host.
    pub public_url: String,
    /// The host of `showqrcode`, without a trailing slash.
    pub image_base: String,
    /// Who may frame `/qrcode`, as the content security policy spells it.
    pub frame_ancestors: String,
    /// Whether the codes are the sandbox's.
    pub sandbox: bool,
}

impl Site {
    /// WeChat's picture of a ticket, which is percent-encoded exactly once.
    pub(crate) fn image_url(&self, ticket: &Ticket) -> String {
        format!(
            "{}/cgi-bin/showqrcode?ticket={}",
            self.image_base,
            escaped(ticket.as_str())
        )
    }

    /// A link of our own.
    pub(crate) fn link<'a>(
        &self,
        path: &str,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> String {
        let mut link = format!("{}{path}", self.public_url);
        for (n, (name, value)) in pairs.enumerate() {
            let separator = if n == 0 { '?' } else { '&' };
            write!(link, "{separator}{name}={}", escaped(value))
                .expect("a string takes all that is written");
        }
        link
    }

    /// The policy of the code's page: WeChat's picture, our style, our script; framed by whom the owner allows.
    pub(crate) fn code_page_policy(&self) -> HeaderValue {
        policy(&format!(
            "img-src data: {}; script-src {}; form-action 'none'{}",
            self.image_base,
            *RENEW_HASH,
            self.framing()
        ))
    }

    /// The end of a policy of what the owner lets others frame.
    ///
    /// Where everybody may, there is no directive at all: `frame-ancestors *` matches network schemes only (CSP 3, 6.7.2.8), and
    /// keeps out pages from `file:` and of apps.
    fn framing(&self) -> String {
        match self.frame_ancestors.as_str() {
            "*" => String::new(),
            ancestors => format!("; frame-ancestors {ancestors}"),
        }
    }

    /// What the image element may do when it is opened by itself or framed: show WeChat's picture.
    pub(crate) fn fragment_policy(&self) -> HeaderValue {
        let policy = format!(
            "default-src 'none'; img-src {}{}",
            self.image_base,
            self.framing()
        );
        HeaderValue::from_str(&policy).expect("hosts and ancestors are checked to be plain ASCII")
    }

    /// The same for the line that stands in its place where there is no code.
    pub(crate) fn problem_fragment_policy(&self) -> HeaderValue {
        let policy = format!("default-src 'none'{}", self.framing());
        HeaderValue::from_str(&policy).expect("ancestors are checked to be plain ASCII")
    }

    /// What an SVG file may do when it is opened by itself or framed: nothing but be seen.
    pub(crate) fn svg_policy(&self) -> HeaderValue {
        let policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; sandbox{}",
            self.framing()
        );
        HeaderValue::from_str(&policy).expect("ancestors are checked to be plain ASCII")
    }

    /// The policy of the first page, which has a form. The demo's asks for numbers.
    pub(crate) fn home_page_policy(&self) -> HeaderValue {
        let demo = if self.sandbox {
            format!(" {}; connect-src 'self'", *DEMO_HASH)
        } else {
            String::new()
        };
        policy(&format!(
            "img-src data: {}; script-src {}{demo}; form-action 'self'; frame-ancestors 'none'",
            self.image_base, *HOME_HASH
        ))
    }

    /// The policy of the statistics, whose script asks this service and nobody else.
    pub(crate) fn stats_page_policy() -> HeaderValue {
        policy_with(
            &format!("{} {}", *STYLE_HASH, *STATS_STYLE_HASH),
            &format!(
                "img-src data:; script-src {}; connect-src 'self'; form-action 'none'; frame-ancestors 'none'",
                *STATS_HASH
            ),
        )
    }

    /// The policy of an error page, which shows no picture. In place of the code's page it may be framed as that may.
    pub(crate) fn problem_page_policy(&self, of_code: bool) -> HeaderValue {
        let framing = if of_code {
            self.framing()
        } else {
            "; frame-ancestors 'none'".to_owned()
        };
        policy(&format!("img-src data:; form-action 'none'{framing}"))
    }
}

/// What all pages have in common, and the rest. Their icon is empty data, so that no browser asks for one.
fn policy(rest: &str) -> HeaderValue {
    policy_with(&STYLE_HASH, rest)
}

/// The same for a page with other styles.
fn policy_with(styles: &str, rest: &str) -> HeaderValue {
    let policy = format!("default-src 'none'; style-src {styles}; base-uri 'none'; {rest}");
    HeaderValue::from_str(&policy).expect("hosts and ancestors are checked to be plain ASCII")
}

fn hash_source(inline: &str) -> String {
    format!(
        "'sha256-{}'",
        BASE64_STANDARD.encode(Sha256::digest(inline))
    )
}
