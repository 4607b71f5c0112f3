//! Snippets to copy from the home page.

use wechat::scene::CodeSpec;

use crate::http::extract::query::Query;
use crate::http::i18n::lang::Lang;
use crate::http::site::Site;

/// Placeholder of the host in a link if none is configured. The page's script replaces it.
const UNKNOWN_ORIGIN: &str = "{origin}";

/// The attributes of the frame: as wide as its column, and as high as the page of a code at its
/// widest, the note of the sandbox included. The size is in attributes, so that it holds where a
/// page's policy forbids inline style.
const FRAME_ATTRIBUTES: &str =
    "width=\"100%\" height=\"700\" style=\"width:100%;max-width:430px;border:0\"";

/// A text to copy.
#[derive(Debug)]
pub(super) struct Snippet {
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// How to mint a code that only a key may mint.
pub(super) fn with_a_key(site: &Site, lang: Lang, query: &Query) -> Snippet {
    Snippet {
        title: lang.pick("用密钥生成", "Create it with a key"),
        text: format!(
            "curl -H 'Authorization: Bearer API_KEY' '{}'",
            absolute_link(site, query, "/qrcode.json")
        ),
    }
}

/// How to show a code elsewhere.
pub(super) fn of_code(site: &Site, lang: Lang, query: &Query, spec: &CodeSpec) -> Vec<Snippet> {
    let link = |path: &str| absolute_link(site, query, path);
    let alt = lang.pick("微信二维码", "WeChat QR code");
    let attribute = |path: &str| link(path).replace('&', "&amp;");
    let picture = Snippet {
        title: lang.pick("图片", "Picture"),
        text: format!(
            "<img src=\"{}\" alt=\"{alt}\" width=\"430\" height=\"430\">",
            attribute("/qrcode.png")
        ),
    };
    let frame = || Snippet {
        title: lang.pick("内嵌页面，到期前自动更新", "Frame, renews itself"),
        text: format!(
            "<iframe src=\"{}\" title=\"{alt}\" {FRAME_ATTRIBUTES}></iframe>",
            attribute("/qrcode")
        ),
    };
    let json = Snippet {
        title: "JSON",
        text: format!("curl '{}'", link("/qrcode.json")),
    };
    // A page renews a code that expires; a permanent one needs no frame.
    let frame = spec.lifetime().is_some().then(frame);
    [Some(picture), frame, Some(json)]
        .into_iter()
        .flatten()
        .collect()
}

/// A link that works on pages of other sites.
fn absolute_link(site: &Site, query: &Query, path: &str) -> String {
    let link = site.link(path, query.picture_link_pairs());
    if link.starts_with('/') {
        format!("{UNKNOWN_ORIGIN}{link}")
    } else {
        link
    }
}
