use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use super::*;
use crate::form;

/// Test vectors of the documentation: key, query, canonical text, signature.
const VECTORS: [(&str, &str, &str, &str); 2] = [
    (
        "wxqr-example-link-key",
        "expire_seconds=3600&scene_str=%E5%B1%95%E4%BC%9A+A%2b1&exp=1924963200&format=png",
        "/qrcode\nexp=1924963200&expire_seconds=3600&scene_str=%E5%B1%95%E4%BC%9A%20A%2B1",
        "IOpJq8F-quFpsy5VUJ5FpBRyC4d3bI8JFZW0IRED6Ww",
    ),
    (
        "link-key-1",
        "scene_id=123&exp=1893456000",
        "/qrcode\nexp=1893456000&scene_id=123",
        "a5i5h1-M2pEmp0RmEBoryfsnYomBcfYkZdrIhenvE5g",
    ),
];

/// Before every `exp` in this file.
const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

fn keys(text: &str) -> LinkKeys {
    text.parse().unwrap()
}

fn texts(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The decoded parameters of a query, and its `sig`.
fn split(query: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut parameters = form::pairs(query).unwrap();
    let at = parameters.iter().position(|(name, _)| name == "sig");
    let sig = at.map(|at| parameters.remove(at).1);
    (parameters, sig)
}

fn verified(keys: &LinkKeys, query: &str) -> Result<Link, LinkError> {
    let (parameters, sig) = split(query);
    keys.verify(texts(&parameters), sig.as_deref(), NOW)
}

fn valid(exp: i64) -> Link {
    let exp = Some(LinkExpiry(Timestamp::from_second(exp).unwrap()));
    Link::Signed { exp }
}

#[test]
fn test_vectors_are_reproduced() {
    for (key, query, text, sig) in VECTORS {
        let (parameters, _) = split(query);
        assert_eq!(canonical(texts(&parameters)), text);
        assert_eq!(keys(key).sign(texts(&parameters)).as_deref(), Some(sig));
        let got = verified(&keys(key), &format!("{query}&sig={sig}"));
        assert!(matches!(got, Ok(Link::Signed { exp: Some(_) })), "{query}");
    }
}

#[test]
fn canonical_text_is_sorted_and_percent_encoded() {
    for (query, want) in [
        ("", ""),
        ("utm_source=x&size=300&format=png&lang=en&color=fff", ""),
        ("scene_id=1", "scene_id=1"),
        (
            "scene_str=a&scene_id=1&permanent=true&expire_seconds=2&exp=3",
            "exp=3&expire_seconds=2&permanent=true&scene_id=1&scene_str=a",
        ),
        ("scene_id=%31", "scene_id=1"),
        ("scene_id=001&permanent=", "permanent=&scene_id=001"),
        ("scene_str=a+b%20c", "scene_str=a%20b%20c"),
        (
            "scene_str=!*'();:@%26=%2B$,/?%23[]%25",
            "scene_str=%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%2F%3F%23%5B%5D%25",
        ),
        ("scene_str=-._~", "scene_str=-._~"),
        ("scene_str=%f0%9f%8e%aa", "scene_str=%F0%9F%8E%AA"),
        ("Scene_id=1&scene_id%20=1", ""),
    ] {
        let (parameters, _) = split(query);
        let got = canonical(texts(&parameters));
        assert_eq!(got, format!("/qrcode\n{want}"), "query {query:?}");
    }
}

#[test]
fn a_link_is_verified_by_signature_and_expiry() {
    let good = "a5i5h1-M2pEmp0RmEBoryfsnYomBcfYkZdrIhenvE5g";
    let of = |query: &str| {
        let (parameters, _) = split(query);
        let sig = keys("link-key-1").sign(texts(&parameters)).unwrap();
        format!("{query}&sig={sig}")
    };
    for (query, want) in [
        ("scene_id=123".to_owned(), Ok(Link::Unsigned)),
        (
            "scene_id=123&exp=1893456000".to_owned(),
            Err(LinkError::ExpiryWithoutSignature),
        ),
        (
            format!("scene_id=123&exp=1893456000&sig={good}"),
            Ok(valid(1_893_456_000)),
        ),
        (
            format!("sig={good}&exp=1893456000&scene_id=123&size=99&utm_id=1"),
            Ok(valid(1_893_456_000)),
        ),
        (of("scene_id=123"), Ok(Link::Signed { exp: None })),
        (of("exp=1790000001&scene_id=1"), Ok(valid(1_790_000_001))),
        (of("exp=1790000000&scene_id=1"), Err(LinkError::Expired)),
        (of("exp=0&scene_id=1"), Err(LinkError::Expired)),
        (of("exp=soon&scene_id=1"), Err(LinkError::BadSignature)),
        (
            of("exp=1893456000000&scene_id=1"),
            Err(LinkError::BadSignature),
        ),
        (of("scene_id=1&scene_id=1"), Err(LinkError::BadSignature)),
        (
            format!("scene_id=123&sig={good}"),
            Err(LinkError::BadSignature),
        ),
        (
            format!("scene_id=124&exp=1893456000&sig={good}"),
            Err(LinkError::BadSignature),
        ),
        ("scene_id=123&sig=".to_owned(), Err(LinkError::BadSignature)),
        ("sig=x".to_owned(), Err(LinkError::BadSignature)),
    ] {
        assert_eq!(verified(&keys("link-key-1"), &query), want, "query {query}");
        let without_keys = verified(&LinkKeys::default(), &query);
        let want = if query.contains("sig=") {
            Err(LinkError::BadSignature)
        } else {
            want
        };
        assert_eq!(without_keys, want, "no keys, query {query}");
    }
}

#[test]
fn only_canonical_base64url_signatures_are_accepted() {
    let (_, query, _, good) = VECTORS[0];
    let key = keys(VECTORS[0].0);
    // The last character encodes four bits of the signature and two unused ones.
    for sig in [
        format!("{good}="),
        format!("{good}A"),
        good[..42].to_owned(),
        good.replace('w', "x"),
        good.replace('w', "y"),
        good.replace('-', "%2B"),
        format!("{good}%0A"),
        format!("%20{good}"),
        good.to_lowercase(),
    ] {
        let got = verified(&key, &format!("{query}&sig={sig}"));
        assert_eq!(got, Err(LinkError::BadSignature), "sig {sig}");
    }
    assert!(good.ends_with('w'), "x and y differ from it in nothing");
}

#[test]
fn the_first_key_signs_and_all_verify() {
    let both = keys("new-link-key, old-link-key");
    let link = |keys: &LinkKeys| {
        let sig = keys.sign([("scene_id", "1")]).unwrap();
        format!("scene_id=1&sig={sig}")
    };
    let (new, old) = (keys("new-link-key"), keys("old-link-key"));
    assert_eq!(link(&both), link(&new));
    for (verifier, link, want) in [
        (&both, link(&new), true),
        (&both, link(&old), true),
        (&new, link(&old), false),
        (&old, link(&both), false),
    ] {
        let got = verified(verifier, &link);
        assert_eq!(matches!(got, Ok(Link::Signed { .. })), want, "{verifier:?}");
    }
    assert_eq!(LinkKeys::default().sign([("scene_id", "1")]), None);
}

#[test]
fn link_keys_have_a_minimum_length_and_an_alphabet() {
    let refused = |position, problem| Err(LinkKeysError { position, problem });
    for (text, want) in [
        ("link-key-1", Ok(1)),
        (" a/b+c=d:e; ,\n!\"#$%&'()* ", Ok(2)),
        ("", refused(1, LinkKeyProblem::Short)),
        ("link-key1", refused(1, LinkKeyProblem::Short)),
        ("link-key-1,", refused(2, LinkKeyProblem::Short)),
        ("link key 1", refused(1, LinkKeyProblem::Character)),
        (
            "展展展展展展展展展展",
            refused(1, LinkKeyProblem::Character),
        ),
        (
            "link-key-1,link-key-2\u{7f}",
            refused(2, LinkKeyProblem::Character),
        ),
        ("link-key-1,link-key-1", refused(2, LinkKeyProblem::Twice)),
    ] {
        let got = text.parse::<LinkKeys>().map(|keys| keys.0.len());
        assert_eq!(got, want, "input {text:?}");
    }
}

#[test]
fn an_expiry_is_a_canonical_decimal() {
    for (text, want) in [
        ("1924963200", Some("2030-12-31T16:00:00Z")),
        ("0", Some("1970-01-01T00:00:00Z")),
        ("253402207200", Some("9999-12-30T22:00:00Z")),
        ("253402207201", None),
        ("1924963200000", None),
        ("99999999999999999999", None),
        ("01924963200", None),
        ("00", None),
        ("", None),
        ("+1", None),
        ("-1", None),
        (" 1", None),
        ("1.0", None),
        ("1e9", None),
        ("2030-12-31", None),
    ] {
        let got = text.parse::<LinkExpiry>().ok();
        assert_eq!(
            got.map(|exp| exp.at().to_string()).as_deref(),
            want,
            "{text:?}"
        );
        if let Some(exp) = got {
            assert_eq!(exp.to_string(), text);
        }
    }
}

proptest! {
    #[test]
    fn no_message_quotes_a_key(key in "[!-~&&[^,]]{10,40}", entry in 0..4_usize) {
        let text = [
            key.clone(),
            format!("{key},{key}"),
            format!("{key},short"),
            format!("{key} {key}"),
        ][entry].clone();
        let said = match text.parse::<LinkKeys>() {
            Ok(keys) => format!("{keys:?} {:?}", keys.sign([("scene_id", "1")])),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!said.contains(&key), "{}", said);
    }

    #[test]
    fn canonical_text_is_injective(one in parameters(), other in parameters()) {
        let covered = |pairs: &[(String, String)]| {
            let mut pairs = pairs.to_vec();
            pairs.retain(|(name, _)| SIGNED.contains(&name.as_str()));
            pairs.sort();
            pairs
        };
        let same = covered(&one) == covered(&other);
        prop_assert_eq!(canonical(texts(&one)) == canonical(texts(&other)), same);
    }
}

/// A change to a link in transit.
#[derive(Debug, Clone)]
enum Mutation {
    Put(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Swap(Index, Index),
    Duplicate(Index, Index),
    Drop(Index),
    Append(&'static str),
    Rewrite(Index, fn(&str) -> String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let added = select(vec![
        "permanent=true",
        "permanent=false",
        "expire_seconds=2592000",
        "exp=1999999999",
        "scene_id=2",
        "scene_str=other",
        "scene%5Fid=2",
        "Scene_id=2",
        "sig=AAAA",
        "size=512",
        "format=svg",
        "utm_source=x",
        "",
        "=",
    ]);
    let rewritings: [fn(&str) -> String; 8] = [
        |piece| piece.to_lowercase(),
        |piece| piece.replace("%20", "+"),
        |piece| piece.replace('+', "%20"),
        |piece| piece.replace('%', "%25"),
        |piece| piece.replace('a', "%61"),
        |piece| piece.replace('_', "%5F"),
        |piece| piece.replace('1', "%31"),
        |piece| format!("{piece}="),
    ];
    prop_oneof![
        4 => (any::<Index>(), 0x20..0x7f_u8).prop_map(|(at, byte)| Mutation::Put(at, byte)),
        2 => (any::<Index>(), 0x20..0x7f_u8).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => any::<Index>().prop_map(Mutation::Remove),
        2 => any::<(Index, Index)>().prop_map(|(a, b)| Mutation::Swap(a, b)),
        2 => any::<(Index, Index)>().prop_map(|(a, b)| Mutation::Duplicate(a, b)),
        2 => any::<Index>().prop_map(Mutation::Drop),
        2 => added.prop_map(Mutation::Append),
        4 => (any::<Index>(), select(rewritings.to_vec()))
            .prop_map(|(at, rewrite)| Mutation::Rewrite(at, rewrite)),
    ]
}

impl Mutation {
    fn apply(&self, link: &str) -> String {
        let mut bytes = link.as_bytes().to_vec();
        let mut pieces: Vec<String> = link.split('&').map(str::to_owned).collect();
        match self {
            _ if link.is_empty() => {}
            Self::Put(at, byte) => bytes[at.index(link.len())] = *byte,
            Self::Insert(at, byte) => bytes.insert(at.index(link.len()), *byte),
            Self::Remove(at) => {
                bytes.remove(at.index(link.len()));
            }
            Self::Swap(a, b) => {
                let (a, b) = (a.index(pieces.len()), b.index(pieces.len()));
                pieces.swap(a, b);
                return pieces.join("&");
            }
            Self::Duplicate(from, to) => {
                let piece = pieces[from.index(pieces.len())].clone();
                pieces.insert(to.index(pieces.len()), piece);
                return pieces.join("&");
            }
            Self::Drop(at) => {
                pieces.remove(at.index(pieces.len()));
                return pieces.join("&");
            }
            Self::Append(piece) => return format!("{link}&{piece}"),
            Self::Rewrite(at, rewrite) => {
                let piece = &mut pieces[at.index(link.split('&').count())];
                *piece = rewrite(piece);
                return pieces.join("&");
            }
        }
        String::from_utf8(bytes).expect("a link is ASCII, and so is what is put into it")
    }
}

/// Parameters of a link, covered or not, each at most once.
fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = prop_oneof![
        "[a-c1-3 +&=%_.~!*'()-]{1,8}",
        "[展会🎪a-c]{1,4}",
        "\\PC{1,8}",
    ];
    let scene = prop_oneof![
        (1..5000_u32).prop_map(|id| ("scene_id".to_owned(), id.to_string())),
        text.prop_map(|text| ("scene_str".to_owned(), text)),
    ];
    let others = [
        ("exp", "1924963200"),
        ("expire_seconds", "3600"),
        ("permanent", "false"),
        ("format", "png"),
        ("size", "300"),
        ("color", "07603b"),
        ("utm_campaign", "a b"),
    ];
    let others = others.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (scene, proptest::sample::subsequence(others.to_vec(), 0..=7))
        .prop_map(|(scene, others)| std::iter::once(scene).chain(others).collect::<Vec<_>>())
        .prop_shuffle()
}

/// The meaning of a link: code and expiry. `None` if the link is refused before verification,
/// because it cannot be parsed or has two signatures.
fn meaning(link: &str) -> Option<(Vec<(String, String)>, String)> {
    let parameters = form::pairs(link).ok()?;
    let (mut sigs, mut others): (Vec<_>, Vec<_>) =
        parameters.into_iter().partition(|(name, _)| name == "sig");
    let (_, sig) = sigs.pop().filter(|_| sigs.is_empty())?;
    others.retain(|(name, _)| SIGNED.contains(&name.as_str()));
    others.sort();
    Some((others, sig))
}

#[test]
fn no_mutation_of_a_link_changes_what_was_signed() {
    let keys = keys("link-key-1,link-key-2");
    let (accepted, refused, unreadable) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let links = (parameters(), vec(mutation(), 1..4));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(10_000));
    let result = runner.run(&links, |(parameters, mutations)| {
        let sig = keys.sign(texts(&parameters)).unwrap();
        let query: Vec<String> = texts(&parameters)
            .chain([("sig", sig.as_str())])
            .map(|(name, value)| format!("{name}={}", form::escaped(value)))
            .collect();
        let link = query.join("&");
        let mutated = mutations
            .iter()
            .fold(link.clone(), |link, mutation| mutation.apply(&link));
        let Some(meant) = meaning(&mutated) else {
            unreadable.set(unreadable.get() + 1);
            return Ok(());
        };
        let same = Some(meant) == meaning(&link);
        let got = matches!(verified(&keys, &mutated), Ok(Link::Signed { .. }));
        prop_assert_eq!(got, same, "{} became {}", link, mutated);
        let count = if got { &accepted } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    result.unwrap();
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(
        accepted > 1000 && refused > 1000,
        "{accepted} accepted, {refused} refused, {} unreadable",
        unreadable.get()
    );
}
