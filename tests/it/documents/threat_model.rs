//! `docs/threat-model.md` names tests: each of them is there, and no threat is without one.

use std::collections::BTreeSet;

use crate::support::files::{read, texts_below};

/// The folders that have tests, each with what the document writes before the place of a test in
/// it.
const FOLDERS: [(&str, &str); 6] = [
    ("tests", ""),
    ("src", ""),
    ("crates/http-listener/tests", "http_listener::"),
    ("crates/http-listener/src", "http_listener::"),
    ("crates/local-guard/src", "local_guard::"),
    ("crates/wechat/src", "wechat::"),
];

/// How the document writes a file: `it/hostile/budget.rs` as `it::hostile::budget`, and `main.rs`,
/// `mod.rs` and `tests.rs` as the folder that they are in.
fn place(file: &str) -> String {
    let plain = file.trim_end_matches(".rs");
    let parts = plain.split('/');
    let parts = parts.filter(|part| !["main", "mod", "tests"].contains(part));
    parts.collect::<Vec<_>>().join("::")
}

/// The functions of a file that are tests.
fn tests(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let name = line.strip_prefix("async ").unwrap_or(line);
        let name = name.strip_prefix("fn ")?.split('(').next()?;
        std::mem::take(&mut is_test).then_some(name)
    })
}

fn all_tests() -> BTreeSet<String> {
    let all = FOLDERS.iter().flat_map(|(folder, crate_name)| {
        let files = texts_below(folder).into_iter();
        files.flat_map(move |(file, text)| {
            let place = place(&file);
            let names = tests(&text).map(|name| format!("{crate_name}{place}::{name}"));
            names.collect::<Vec<_>>()
        })
    });
    let all: BTreeSet<String> = all.collect();
    assert!(all.len() > 300, "there are {} tests", all.len());
    all
}

/// The threats of the document: title and text.
fn threats() -> Vec<(String, String)> {
    let text = read("docs/threat-model.md");
    let sections = text.split("\n### ").skip(1);
    let threats = sections.map(|section| {
        let (title, rest) = section.split_once('\n').unwrap();
        (title.to_owned(), rest.to_owned())
    });
    threats.collect()
}

/// The tests that a threat names, one a line.
fn named(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("- `"));
    lines.map(|line| line.trim_end_matches('`')).collect()
}

#[test]
fn every_threat_names_tests_that_exist() {
    let (all, threats) = (all_tests(), threats());
    assert!(threats.len() > 20, "there are {}", threats.len());
    for (title, text) in threats {
        let named = named(&text);
        assert!(!named.is_empty(), "{title}: no test holds it");
        for test in named {
            assert!(all.contains(test), "{title}: there is no test {test}");
        }
    }
}
