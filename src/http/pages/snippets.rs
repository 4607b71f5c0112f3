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

/// How to show a code elsewhere.
pub(super) fn of_code(site: &Site, lang: Lang, query: &Query, spec: &CodeSpec) -> Vec<Snippet> {
    let link = |path: &str| absolute_link(site, query, path);
    let attribute = |path: &str| link(path).replace('&', "&amp;");
    let picture = Snippet {
        title: lang.pick("图片", "Picture"),
        text: element(&attribute("/qrcode.png"), lang),
    };
    let frame = || Snippet {
        title: lang.pick("内嵌页面，到期前自动更新", "Frame, renews itself"),
        text: iframe(&attribute("/qrcode"), lang),
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

/// The image element of a picture; `link` is its address, with `&` as `&amp;`.
pub(super) fn element(link: &str, lang: Lang) -> String {
    let alt = alt(lang);
    format!("<img src=\"{link}\" alt=\"{alt}\" width=\"430\" height=\"430\">")
}

/// The frame of a code's page, likewise.
pub(super) fn iframe(link: &str, lang: Lang) -> String {
    let title = alt(lang);
    format!("<iframe src=\"{link}\" title=\"{title}\" {FRAME_ATTRIBUTES}></iframe>")
}

fn alt(lang: Lang) -> &'static str {
    lang.pick("微信二维码", "WeChat QR code")
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
