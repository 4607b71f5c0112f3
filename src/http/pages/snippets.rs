//! Snippets to copy from the home page.

use std::iter;

use wechat::scene::CodeSpec;

use crate::http::extract::query::QrcodeQuery;
use crate::http::i18n::lang::Lang;
use crate::http::site::Site;

/// Placeholder of the host in a link if none is configured. The page's script replaces it.
const UNKNOWN_ORIGIN: &str = "{origin}";

/// The attributes of the frame: as wide as its column, and as high as the page of a code at its
/// widest, the note of the sandbox included. The size is in attributes, so that it holds where a
/// page's policy forbids inline style.
const FRAME_ATTRIBUTES: &str =
    "width=\"100%\" height=\"660\" style=\"width:100%;max-width:430px;border:0\"";

/// The parameters that `embed.js` reads from attributes and a link may have.
const ATTRIBUTES: &[&str] = &[
    "scene_id",
    "scene_str",
    "expire_seconds",
    "size",
    "margin",
    "color",
    "bg",
    "exp",
    "sig",
];

#[derive(Debug)]
pub(super) struct Snippet {
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// How to show a code elsewhere.
pub(super) fn of_code(
    site: &Site,
    lang: Lang,
    query: &QrcodeQuery,
    spec: &CodeSpec,
) -> Vec<Snippet> {
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
    let script = || Snippet {
        title: lang.pick("脚本，到期前自动更新", "Script, renews itself"),
        text: script(
            &absolute(site.link("/embed.js", iter::empty())),
            &attributes(query),
        ),
    };
    let poster = Snippet {
        title: lang.pick("画布海报", "Poster from a canvas"),
        text: poster(&link("/qrcode.json"), lang),
    };
    let json = Snippet {
        title: "JSON",
        text: format!("curl '{}'", link("/qrcode.json")),
    };
    // A page renews a code that expires; a permanent one needs neither frame nor script.
    let expires = spec.lifetime().is_some();
    let (frame, script) = (expires.then(frame), expires.then(script));
    [Some(picture), script, frame, Some(poster), Some(json)]
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

/// The script at `source`, and the element that it fills; `attributes` say with which code.
pub(super) fn script(source: &str, attributes: &str) -> String {
    format!("<script src=\"{source}\" async></script>\n<wx-qrcode{attributes}></wx-qrcode>")
}

/// The attributes of the element that `embed.js` fills with the code of `query`.
fn attributes(query: &QrcodeQuery) -> String {
    let known = query
        .picture_link_pairs()
        .filter(|(name, _)| ATTRIBUTES.contains(name));
    let attributes: Vec<String> = known
        .map(|(name, value)| format!(" {}=\"{}\"", name.replace('_', "-"), escaped(value)))
        .collect();
    attributes.concat()
}

/// A script that draws the code at `link`, its JSON, on a canvas, and shows that as an image.
fn poster(link: &str, lang: Lang) -> String {
    let alt = lang.pick("海报", "Poster");
    format!(
        "<img id=\"poster\" alt=\"{alt}\">\n\
         <script type=\"module\">\n  \
           const answer = await fetch(\"{link}\");\n  \
           const {{ png_url }} = await answer.json();\n  \
           const code = new Image();\n  \
           code.crossOrigin = \"anonymous\";\n  \
           code.src = new URL(png_url, answer.url);\n  \
           await code.decode();\n  \
           const canvas = document.createElement(\"canvas\");\n  \
           canvas.width = canvas.height = 600;\n  \
           canvas.getContext(\"2d\").drawImage(code, 85, 85, 430, 430);\n  \
           document.getElementById(\"poster\").src = canvas.toDataURL();\n\
         </script>"
    )
}

/// The text of an attribute between double quotes.
fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('"', "&quot;")
}

fn alt(lang: Lang) -> &'static str {
    lang.pick("微信二维码", "WeChat QR code")
}

/// A link to the code of `query` that works on pages of other sites.
fn absolute_link(site: &Site, query: &QrcodeQuery, path: &str) -> String {
    absolute(site.link(path, query.picture_link_pairs()))
}

fn absolute(link: String) -> String {
    if link.starts_with('/') {
        format!("{UNKNOWN_ORIGIN}{link}")
    } else {
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_neither_its_attribute_nor_its_element() {
        for (value, want) in [
            ("poster-7", "poster-7"),
            ("展会 A+1", "展会 A+1"),
            (r#"a"onload="b"#, "a&quot;onload=&quot;b"),
            ("a&quot;b", "a&amp;quot;b"),
        ] {
            assert_eq!(escaped(value), want);
        }
    }
}
