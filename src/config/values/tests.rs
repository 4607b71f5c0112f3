use proptest::prelude::*;

use super::*;

/// Checks a table of inputs, each with the form that the value takes; `None` for an invalid one.
fn check<T>(
    parse: impl Fn(&str) -> Result<T, InvalidValue>,
    show: impl Fn(&T) -> String,
    table: &[(&str, Option<&str>)],
) {
    for (text, want) in table {
        let got = parse(text).ok().map(|value| show(&value));
        assert_eq!(got.as_deref(), *want, "input {text:?}");
    }
}

#[test]
fn a_public_url_has_a_host_and_perhaps_a_path() {
    check(
        str::parse::<PublicUrl>,
        |url| format!("{} {}", url.as_str(), url.path()),
        &[
            ("https://qr.example.com", Some("https://qr.example.com ")),
            ("https://qr.example.com/", Some("https://qr.example.com ")),
            (
                "http://QR.example.com:8080",
                Some("http://qr.example.com:8080 "),
            ),
            (
                "https://example.com:443/a",
                Some("https://example.com/a /a"),
            ),
            (
                "https://example.com/a/b-1/",
                Some("https://example.com/a/b-1 /a/b-1"),
            ),
            ("http://[::1]:8080/wx", Some("http://[::1]:8080/wx /wx")),
            ("https://例子.cn", Some("https://xn--fsqu00a.cn ")),
            ("https://example.com//", None),
            ("https://example.com/a//b", None),
            ("https://example.com/{id}", None),
            ("https://example.com/a%20b", None),
            ("https://example.com/?", None),
            ("https://example.com/#", None),
            ("https://example.com?a=b", None),
            ("https://me@example.com", None),
            ("https://me:word@example.com", None),
            ("https:example.com", None),
            ("https:/example.com", None),
            ("https:\\\\example.com", None),
            ("https://exam\nple.com", None),
            (" https://example.com", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("https://", None),
            ("https://example.com;x", None),
            ("https://it's.example.com", None),
            ("https://example.com:99999", None),
        ],
    );
}

#[test]
fn a_base_is_a_bare_host() {
    let show = |urls: &Vec<Url>| urls.iter().map(Url::as_str).collect::<Vec<_>>().join(" ");
    check(
        api_bases,
        show,
        &[
            ("https://a.example", Some("https://a.example/")),
            ("https://a.example/", Some("https://a.example/")),
            (
                "https://a.example, http://127.0.0.1:8081",
                Some("https://a.example/ http://127.0.0.1:8081/"),
            ),
            ("http://a,http://b,http://c,http://d,http://e", None),
            ("https://a.example,", None),
            ("https://a.example/cgi-bin", None),
            ("https://a.example?x", None),
            ("https://u:p@a.example", None),
            ("a.example", None),
        ],
    );
}

#[test]
fn cors_origins_are_spelled_as_browsers_do() {
    let show = |origins: &CorsOrigins| match origins {
        CorsOrigins::Any => "any".to_owned(),
        CorsOrigins::List(list) => list
            .iter()
            .map(WebOrigin::as_str)
            .collect::<Vec<_>>()
            .join(" "),
    };
    check(
        str::parse::<CorsOrigins>,
        show,
        &[
            ("*", Some("any")),
            ("none", Some("")),
            ("https://A.example", Some("https://a.example")),
            (
                "https://a.example:443/, http://b:80",
                Some("https://a.example http://b"),
            ),
            ("https://a.example,*", None),
            ("https://*.a.example", None),
            ("null", None),
            ("https://a.example/x", None),
            ("https://a.example https://b.example", None),
        ],
    );
}

#[test]
fn frame_ancestors_are_a_csp_source_list() {
    check(
        str::parse::<FrameAncestors>,
        |ancestors| ancestors.as_csp().to_owned(),
        &[
            ("*", Some("*")),
            ("none", Some("'none'")),
            ("'none'", Some("'none'")),
            ("self", Some("'self'")),
            (
                "'self',https://a.example:8443",
                Some("'self' https://a.example:8443"),
            ),
            ("https://*.a.example", Some("https://*.a.example")),
            ("*,self", None),
            ("none,self", None),
            ("https://*", None),
            ("https://*.*.example", None),
            ("https://a.example; script-src *", None),
            ("https://a.example;script-src", None),
            ("https://a.example\r\nX: y", None),
            ("javascript:alert(1)", None),
        ],
    );
}

#[test]
fn a_missing_comma_between_frame_ancestors_is_named() {
    for text in [
        "'self' https://a.example",
        "self https://a.example",
        "https://a.example\thttps://b.example,self",
    ] {
        let error = text.parse::<FrameAncestors>().unwrap_err().to_string();
        assert!(error.contains("comma is needed"), "{text}: {error}");
    }
    assert!("self , https://a.example".parse::<FrameAncestors>().is_ok());
}

proptest! {
    #[test]
    fn frame_ancestors_never_leave_their_directive(text in "(https://)?[ -~]{0,20}[;\\*'\\r\\n,.a-z]{0,8}") {
        if let Ok(ancestors) = text.parse::<FrameAncestors>() {
            let csp = ancestors.as_csp();
            prop_assert!(csp.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{}", csp);
            prop_assert!(!csp.contains([';', ',']), "{}", csp);
        }
    }
}

fn range(low: &'static str, high: &'static str) -> Range {
    Range { low, high }
}

#[test]
fn durations_have_a_unit_and_a_range() {
    for (text, want) in [
        ("100ms", Some(Duration::from_millis(100))),
        ("5s", Some(Duration::from_secs(5))),
        ("1s 500ms", Some(Duration::from_millis(1500))),
        ("30s", Some(Duration::from_secs(30))),
        ("99ms", None),
        ("31s", None),
        ("5", None),
        ("-5s", None),
        ("five seconds", None),
        ("99999999999999999999s", None),
    ] {
        assert_eq!(
            duration(text, range("100ms", "30s")).ok(),
            want,
            "input {text:?}"
        );
    }
    check(
        |text| lifetime(text, range("1s", "30d")),
        |lifetime| lifetime.as_secs().to_string(),
        &[
            ("7200s", Some("7200")),
            ("2h", Some("7200")),
            ("1s", Some("1")),
            ("30d", Some("2592000")),
            ("30d 1s", None),
            ("0s", None),
            ("1500ms", None),
            ("7200", None),
        ],
    );
}

#[test]
fn small_values_have_their_forms() {
    check(
        str::parse::<AppId>,
        AppId::to_string,
        &[
            ("wx0123456789abcdef", Some("wx0123456789abcdef")),
            ("", None),
            ("wx 1", None),
            ("wx/1", None),
        ],
    );
    check(
        |text| reuse(text, range("0", "1")),
        |reuse| reuse.get().to_string(),
        &[
            ("0", Some("0")),
            ("0.5", Some("0.5")),
            ("1", Some("1")),
            ("1.01", None),
            ("-0.1", None),
            ("NaN", None),
            ("inf", None),
            ("half", None),
        ],
    );
    check(
        |text| count(text, range("1", "10")),
        u64::to_string,
        &[
            ("1", Some("1")),
            ("10", Some("10")),
            ("0", None),
            ("11", None),
            ("+1", None),
            ("", None),
        ],
    );
    check(
        log_filter,
        String::clone,
        &[
            ("info", Some("info")),
            ("OFF", Some("OFF")),
            ("info,wxqr=debug", Some("info,wxqr=debug")),
            ("wxqr=debug", Some("wxqr=debug")),
            ("verbose", None),
            ("info,wxqr", None),
            ("wxqr=loud", None),
        ],
    );
    check(
        socket_address,
        SocketAddr::to_string,
        &[
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("[::]:8080", Some("[::]:8080")),
            (":8080", None),
            ("localhost:8080", None),
            ("8080", None),
            ("127.0.0.1", None),
        ],
    );
}
