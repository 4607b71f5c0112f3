//! Entry points of the targets in `fuzz/`: each parses untrusted input as the service does, and
//! asserts the invariants. A panic is a finding.
//!
//! Hidden, not behind a feature, so that every build checks it; not for other callers.

use channel_files::{ChannelRow, FileFormat, scene_candidates};
use jiff::Timestamp;

pub use wechat::fuzzing::{callback, upstream};
use wechat::scene::{Kind, Lifetime, Scene};

use crate::access::{Link, LinkError, LinkExpiry, LinkKeys, SIGNED, canonical};
use crate::form::{self, escaped};
use crate::http::extract::query::QrcodeQuery;

/// File of channels, as text and as CSV: rows are within their bounds, and in the order of the
/// file.
///
/// Workbooks are read by a library on a thread of their own, whose panic is an answer too.
pub fn channel_file(data: &[u8]) {
    for format in [FileFormat::Csv, FileFormat::Lines] {
        match channel_files::read(format, data) {
            Ok(list) => check_rows(&list.rows),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check_rows(rows: &[ChannelRow]) {
    assert!((1..=channel_files::MAX_ROWS).contains(&rows.len()));
    assert!(rows.is_sorted_by(|one, next| one.line < next.line));
    for row in rows {
        let texts = [&row.label, &row.group, &row.scene_str, &row.scene_id];
        for text in texts.into_iter().flatten() {
            assert!(!text.is_empty() && text.trim() == text, "{row:?}");
        }
        let scenes = row.label.iter().flat_map(|label| scene_candidates(label));
        for scene in scenes {
            assert!(
                Scene::new(Kind::QrLimitStrScene, &scene).is_ok(),
                "{scene:?}"
            );
        }
    }
}

/// Query of `/qrcode`: the link that the service prints for it must mean the same code.
pub fn query(data: &[u8]) {
    let Ok(raw) = str::from_utf8(data) else {
        return;
    };
    let Ok(query) = QrcodeQuery::parse(raw) else {
        return;
    };
    query.format().ok();
    query.lang().ok();
    query.fragment().ok();
    query.style().ok();
    let printed = written(query.picture_link_pairs());
    let again = QrcodeQuery::parse(&printed).expect("what is printed can be read");
    let spec = |query: &QrcodeQuery| query.code_spec(default_expire()).ok();
    assert_eq!(spec(&query), spec(&again), "{printed}");
}

/// Signs and verifies a link: its canonical text is exactly what is covered.
pub fn link(data: &[u8]) {
    let Some(pairs) = str::from_utf8(data)
        .ok()
        .and_then(|raw| form::pairs(raw).ok())
    else {
        return;
    };
    let texts = || pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let covered: Vec<(&str, &str)> = SIGNED
        .iter()
        .flat_map(|name| texts().filter(move |(given, _)| given == name))
        .collect();
    assert_canonical(&canonical(texts()), &covered);
    let keys: LinkKeys = "fuzzing-key-1,fuzzing-key-2"
        .parse()
        .expect("two keys that are long enough");
    let sig = keys.sign(texts()).expect("there are keys");
    let given = texts().find(|(name, _)| *name == "sig").map(|(_, sig)| sig);
    for presented in [Some(sig.as_str()), given] {
        let got = keys.verify(texts(), presented, NOW);
        let want = match presented {
            None if texts().any(|(name, _)| name == "exp") => {
                Err(LinkError::ExpiryWithoutSignature)
            }
            None => Ok(Link::Unsigned),
            Some(presented) if presented == sig => due(&covered),
            Some(_) => Err(LinkError::BadSignature),
        };
        assert_eq!(got, want);
    }
}

/// An arbitrary time in 2026.
const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

/// The expected result for a correctly signed link.
fn due(covered: &[(&str, &str)]) -> Result<Link, LinkError> {
    let is_repeated = |name| covered.iter().filter(|(given, _)| *given == name).count() > 1;
    let exp = covered.iter().find(|(name, _)| *name == "exp");
    match exp.map(|(_, text)| text.parse::<LinkExpiry>()) {
        _ if SIGNED.into_iter().any(is_repeated) => Err(LinkError::BadSignature),
        None => Ok(Link::Signed { exp: None }),
        Some(Err(_)) => Err(LinkError::BadSignature),
        Some(Ok(exp)) if exp.at() <= NOW => Err(LinkError::Expired),
        Some(Ok(exp)) => Ok(Link::Signed { exp: Some(exp) }),
    }
}

/// The text is the path and plain `name=value`, from which the covered parameters can be parsed.
fn assert_canonical(text: &str, covered: &[(&str, &str)]) {
    let query = text
        .strip_prefix("/qrcode\n")
        .expect("the path comes first");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%&=_".contains(&byte);
    assert!(query.bytes().all(is_plain), "{text}");
    let read = form::pairs(query).expect("it is UTF-8");
    let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(read, covered, "{text}");
}

fn written<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pieces: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pieces.join("&")
}

fn default_expire() -> Lifetime {
    "7200".parse().expect("two hours are a lifetime")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Regression test: runs every stored input, past findings included, through its entry point.
    #[test]
    fn stored_fuzz_inputs_pass() {
        for (target, door) in [
            ("query", super::query as fn(&[u8])),
            ("upstream", super::upstream),
            ("link", super::link),
            ("callback", super::callback),
            ("channel_file", super::channel_file),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/seeds")
                .join(target);
            let mut inputs = 0;
            for entry in fs::read_dir(&folder).unwrap() {
                let file = entry.unwrap().path();
                door(&fs::read(file).unwrap());
                inputs += 1;
            }
            assert!(inputs >= 3, "{target} has seeds");
        }
    }
}
