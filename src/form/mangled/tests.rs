use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use rustix::time::{ClockId, clock_gettime};

use super::*;

const NAMES: [&str; 7] = [
    "scene_id",
    "scene_str",
    "permanent",
    "expire_seconds",
    "size",
    "lang",
    "sig",
];

/// A query, its mangled parameter, what was sent, and what it replaces; empty if the name itself is
/// mangled.
const HIDDEN: &[(&str, &str, &str, &str)] = &[
    ("scene_str=a&amp;permanent=true", "permanent", "&amp;", "&"),
    ("scene_str=a&AMP;permanent=true", "permanent", "&AMP;", "&"),
    (
        "scene_str=a&amp%3Bpermanent=true",
        "permanent",
        "&amp%3B",
        "&",
    ),
    (
        "scene_str=a&amp;amp;permanent=true",
        "permanent",
        "&amp;amp;",
        "&",
    ),
    ("scene_str=a&amppermanent=true", "permanent", "&amp", "&"),
    ("amp;scene_str=a", "scene_str", "&amp;", "&"),
    ("scene_str=a&%2338;lang=en", "lang", "&%2338;", "&"),
    ("scene_str=a&%23x26%3Blang=en", "lang", "&%23x26%3B", "&"),
    ("scene_str=a%26permanent%3Dtrue", "permanent", "%26", "&"),
    ("scene_str=a%26permanent=true", "permanent", "%26", "&"),
    (
        "scene_str=a%2526permanent%253Dtrue",
        "permanent",
        "%2526",
        "&",
    ),
    (
        "scene_str=a%26amp%3Bpermanent=true",
        "permanent",
        "%26amp%3B",
        "&",
    ),
    (
        "scene_str=a&utm_source=b%26permanent=true",
        "permanent",
        "%26",
        "&",
    ),
    (
        "scene_str=a&utm%26permanent%3Dtrue",
        "permanent",
        "%26",
        "&",
    ),
    ("scene_str=a＆permanent＝true", "permanent", "＆", "&"),
    ("scene_str=a%EF%BC%86permanent=true", "permanent", "＆", "&"),
    ("scene_str=a&permanent＝true", "permanent", "＝", "="),
    ("scene_str=a&permanent%3Dtrue", "permanent", "%3D", "="),
    ("scene_str=a;permanent=true", "permanent", ";", "&"),
    ("scene_str=a?permanent=true", "permanent", "?", "&"),
    ("scene_id=1?permanent=true", "permanent", "?", "&"),
    ("?scene_id=1", "scene_id", "?", "&"),
    ("scene_id=1〈=en", "lang", "〈", "&lang"),
    ("scene_id=1&%E2%8C%A9=en", "lang", "\u{2329}", "&lang"),
    (
        "perma%E2%80%8Bnent=true",
        "permanent",
        "perma%E2%80%8Bnent",
        "",
    ),
    (
        "perma\u{200b}nent=true",
        "permanent",
        "perma%E2%80%8Bnent",
        "",
    ),
    ("%C2%A0size=300", "size", "%C2%A0size", ""),
    ("%EF%BB%BFscene_id=1", "scene_id", "%EF%BB%BFscene_id", ""),
    ("sca=1&lang%C2%AD=en", "lang", "lang%C2%AD", ""),
    ("+sig=x", "sig", "+sig", ""),
    ("size%09=300", "size", "size%09", ""),
    (
        "ｓｉｚｅ=300",
        "size",
        "%EF%BD%93%EF%BD%89%EF%BD%9A%EF%BD%85",
        "",
    ),
    ("permanent[]=true", "permanent", "permanent[]", ""),
    ("&nbsp;lang=en", "lang", "nbsp;lang", ""),
    (
        "scene_str=a％２６permanent=true",
        "permanent",
        "％２６",
        "&",
    ),
    ("utm_content=a;permanent=true", "permanent", ";", "&"),
    (
        "scene_str=a\\u0026permanent\\u003dtrue",
        "permanent",
        "\\u0026",
        "&",
    ),
    (
        "scene_str=a%5Cu0026permanent=true",
        "permanent",
        "%5Cu0026",
        "&",
    ),
    (
        "scene_str=a%u0026permanent=true",
        "permanent",
        "%u0026",
        "&",
    ),
    ("scene_str=a+permanent=true", "permanent", "+", "&"),
    ("scene_str=a&AMPpermanent=true", "permanent", "&AMP", "&"),
    (
        "scene_str=a&permanent:true",
        "permanent",
        "permanent:true",
        "",
    ),
    (
        "scene_str=a&permanent%20true",
        "permanent",
        "permanent%20true",
        "",
    ),
    (
        "scene_str=a&%22permanent%22=true",
        "permanent",
        "%22permanent%22",
        "",
    ),
    (
        "scene_str=a&**permanent**=true",
        "permanent",
        "**permanent**",
        "",
    ),
    (
        "scene_str=a&%3Cb%3Epermanent%3C/b%3E=true",
        "permanent",
        "%3Cb%3Epermanent%3C/b%3E",
        "",
    ),
    (
        "scene_str=a&permanent%5B0%5D=true",
        "permanent",
        "permanent%5B0%5D",
        "",
    ),
    (
        "scene_str=a&perma%0D%0A%20nent=true",
        "permanent",
        "perma%0D%0A%20nent",
        "",
    ),
    (
        "scene_id=1&expire_seconds%EF%BC%9A60",
        "expire_seconds",
        "expire_seconds%EF%BC%9A60",
        "",
    ),
];

#[test]
fn every_mangled_parameter_is_named() {
    for &(query, parameter, sent, meant) in HIDDEN {
        let mangling = match meant {
            "" => Mangling::Name(sent.to_owned()),
            _ => Mangling::Separator {
                sent: sent.to_owned(),
                meant,
            },
        };
        let got = find(query, &NAMES);
        let want = MangledParameter {
            name: parameter,
            mangling,
        };
        assert_eq!(got, Some(want), "query {query:?}");
    }
}

#[test]
fn well_formed_queries_are_accepted() {
    for query in [
        "",
        "&&",
        "scene_id=1&permanent=true&size=300",
        "scene%5Fid=1",
        // Misspellings, which are reported elsewhere.
        "Scene_Id=1&sceneid=1&LANG=en",
        "scene_str=A%26B",
        "scene_str=A%26lang",
        "scene_str=A%26x%3D1",
        "scene_str=a;b?c=1",
        "scene_str=a%3Bb%3Fsizes%3D1",
        "scene_str=size%3D300",
        "scene_str=permanent%3Dtrue",
        "scene_str=100%25",
        "scene_str=%FF",
        "scene_str=https%3A%2F%2Fa.example%2F%3Flang%3Den",
        // Parameters that other programs add.
        "utm_source=a&from=singlemessage&isappinstalled=0&_=3&=&x=%FF",
        "utm_content=kw;lang=en;size=3",
        "amp=1&amp_js_v=0.1&ampl=1",
        "url=https%3A%2F%2Fqr.example%2Fqrcode%3Fscene_id%3D1%26permanent%3Dtrue",
        "next=%2Fqrcode%3Fscene_id%3D1",
        "ref=qr.example%2Fqrcode%3Fscene_id%3D1;permanent=true",
        "q=what%3Fsize%3D3",
        "state=eyJzaXplIjoxfQ%3D%3D",
        "subscene=1&mylang=en&lang_code=x",
        // Encoded by a program.
        "scene_str=shop%3Flang%3Den",
        "scene_str=a%26lang%3Den&permanent=true",
        "scene_str=page%3Fscene_id%3D4",
        "next=qrcode%3Fscene_id%3D1",
        "return=shop.html%3Fa%3D1%26lang%3Den",
        "state=a%26permanent%3Dtrue",
        "deeplink=myapp%3A%3Fscene_id%3D1",
        "scene_str=the%20size%3D3",
        "q=a b=c",
    ] {
        assert_eq!(find(query, &NAMES), None, "query {query:?}");
    }
}

/// Replacements of `&`, with the rest of the entity after the separator.
const SEPARATORS: [&str; 14] = [
    "&amp;",
    "&AMP;",
    "&amp%3B",
    "&amp;amp;",
    "&%2338;",
    "&%23x26;",
    "%26",
    "%2526",
    "%26amp;",
    "＆",
    "%EF%BC%86",
    ";",
    "?",
    "%3F",
];

const EQUALS: [&str; 6] = ["=", "%3D", "%253D", "＝", "%EF%BC%9D", "%26equals;"];

const INVISIBLE: [&str; 8] = [
    "%E2%80%8B",
    "\u{200d}",
    "%EF%BB%BF",
    "%C2%AD",
    "\u{2060}",
    "%E2%80%8E",
    "%00",
    "%EF%B8%8F",
];

/// A mangled parameter, and whether it is one without doubt.
#[derive(Debug)]
struct Hidden {
    name: &'static str,
    segment: String,
    behind_ours: bool,
    behind_foreign: bool,
}

fn hidden() -> impl Strategy<Value = Hidden> {
    let parts = (
        select(&NAMES[..]),
        select(&SEPARATORS[..]),
        select(&EQUALS[..]),
        select(&INVISIBLE[..]),
        0..3_u8,
    );
    let segment = |(name, separator, equals, invisible, kind): (&'static str, &str, &str, _, _)| {
        let (start, end) = name.split_at(name.len() / 2);
        let segment = match kind {
            0 => format!("{separator}{name}{equals}1"),
            1 if equals != "=" => format!("&{name}{equals}1"),
            _ => format!("&{start}{invisible}{end}{equals}1"),
        };
        let is_long = name.len() >= DISTINCTIVE_LEN;
        let is_ampersand = ![";", "?", "%3F"].iter().any(|it| segment.starts_with(it));
        let is_own_piece = segment.starts_with('&');
        let is_escaped = equals == "%3D";
        Hidden {
            name,
            behind_ours: is_own_piece || !is_escaped || is_ampersand && is_long,
            behind_foreign: is_own_piece || !is_escaped && (is_ampersand || is_long),
            segment,
        }
    };
    parts.prop_map(segment)
}

proptest! {
    #[test]
    fn no_mangled_parameter_is_dropped(hidden in hidden(), before in "(scene_str=[a-z0-9]{1,5}|scene_id=1)") {
        let query = format!("{before}{}", hidden.segment);
        let found = find(&query, &NAMES).map(|found| found.name);
        prop_assert_eq!(found, hidden.behind_ours.then_some(hidden.name), "{}", query);
    }

    #[test]
    fn mangled_parameters_are_found_after_unknown_ones(hidden in hidden(), before in "utm_[a-z]{1,5}=[a-z0-9]{0,5}") {
        let query = format!("{before}{}", hidden.segment);
        let found = find(&query, &NAMES).map(|found| found.name);
        prop_assert_eq!(found, hidden.behind_foreign.then_some(hidden.name), "{}", query);
    }

    #[test]
    fn percent_encoded_values_are_accepted(value in "[a-z&;?=:/ %#+_.-]{1,30}") {
        let query = format!("q={0}&state={0}", crate::form::escaped(&value));
        prop_assert_eq!(find(&query, &NAMES), None, "{}", query);
    }

    #[test]
    fn values_with_letters_and_ampersands_are_accepted(value in "[a-zA-Z0-9&;? %#+_.-]{1,30}") {
        let query = format!("scene_str={}", crate::form::escaped(&value));
        prop_assert_eq!(find(&query, &NAMES), None, "{}", query);
    }

    #[test]
    fn nothing_panics(query in any::<String>()) {
        find(&query, &NAMES);
    }
}

#[test]
fn the_longest_query_takes_linear_time() {
    // Each candidate is ignored, so everything before it is inspected.
    for (start, candidate) in [
        ("x=a", "%3Bsize%3D"),
        ("x=a/?", ";sig="),
        ("x=a", ";lang="),
        ("scene_str=://", "?size="),
        ("scene_str=a", "%3Fsize%3D"),
    ] {
        let query = |parts: usize| format!("{start}{}", candidate.repeat(parts));
        let time = |query: &str| {
            let started = cpu_time();
            assert_eq!(find(query, &NAMES), None, "{start}{candidate}");
            cpu_time().saturating_sub(started)
        };
        // A quadratic search would take 256 times as long for the second as for the first.
        let (short, long) = (query(100), query(1600));
        let least = |query: &str| (0..5).map(|_| time(query)).min().unwrap_or_default();
        assert!(least(&long) < least(&short) * 100, "{start}{candidate}");
    }
}

/// The processor's time of this thread, which other work on the machine does not lengthen.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("it is positive")
}
