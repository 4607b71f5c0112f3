//! The base of the service's links, and the frame ancestors of its pages.

use std::fmt::Write;

use wechat::ticket::Ticket;

use crate::form::escaped;

/// The settings that pages and links depend on.
#[derive(Debug, Clone)]
pub struct Site {
    /// The base of our own links without a trailing slash; empty makes them relative to the host.
    pub public_url: String,
    /// The host of `showqrcode`, without a trailing slash.
    pub image_base: String,
    /// The frame ancestors of `/qrcode`, in the syntax of the content security policy.
    pub frame_ancestors: String,
    /// Whether the codes are the sandbox's.
    pub sandbox: bool,
    /// Whether WeChat's pushes are received, in whose answers replies are sent.
    pub has_callback: bool,
    /// The API key that the demo's console is entered with.
    pub demo_key: Option<String>,
}

impl Site {
    /// The path of the public URL, without a trailing slash.
    pub(crate) fn base_path(&self) -> &str {
        let (_, rest) = self.public_url.split_once("://").unwrap_or_default();
        rest.find('/').map_or("", |start| &rest[start..])
    }

    /// The URL of WeChat's picture of a ticket, which is percent-encoded exactly once.
    pub(crate) fn image_url(&self, ticket: &Ticket) -> String {
        format!(
            "{}/cgi-bin/showqrcode?ticket={}",
            self.image_base,
            escaped(ticket.as_str())
        )
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_that_of_the_public_url() {
        for (public_url, want) in [
            ("", ""),
            ("https://qr.example.com", ""),
            ("https://qr.example.com:8443/wx", "/wx"),
            ("http://[::1]:8080/a/b", "/a/b"),
        ] {
            let site = Site {
                public_url: public_url.to_owned(),
                image_base: String::new(),
                frame_ancestors: String::new(),
                sandbox: false,
                has_callback: false,
                demo_key: None,
            };
            assert_eq!(site.base_path(), want, "{public_url}");
        }
    }
}
