//! The places that `docs/glossary.md` and `ARCHITECTURE.md` name exist.

use std::path::Path;

use crate::support::files::{read, texts_below};

/// True if `codes::sql::lease` is the file or the folder `src/codes/sql/lease`, and `wechat::scene`
/// that of a crate.
fn is_module(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_crate = path.split_once("::").map(|(name, rest)| {
        let name = name.replace('_', "-");
        root.join(format!("crates/{name}/src")).join(slashed(rest))
    });
    let modules = [Some(root.join("src").join(slashed(path))), of_crate];
    modules
        .into_iter()
        .flatten()
        .any(|module| module.is_dir() || module.with_extension("rs").is_file())
}

fn slashed(path: &str) -> String {
    path.replace("::", "/")
}

fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_module_of_the_glossary_exists() {
    let page = read("docs/glossary.md");
    let modules: Vec<_> = spans(&page).filter(|span| span.contains("::")).collect();
    let missing: Vec<_> = modules.iter().filter(|path| !is_module(path)).collect();
    assert!(modules.len() > 10, "{modules:?}");
    assert!(missing.is_empty(), "not in src/ or crates/: {missing:?}");
}

/// A word with several meanings has no place of its own.
#[test]
fn every_term_of_the_glossary_says_where_it_lives() {
    let page = read("docs/glossary.md");
    let (terms, _) = page.split_once("## Words with several meanings").unwrap();
    let terms: Vec<_> = terms
        .split("\n\n")
        .filter(|it| it.starts_with("**"))
        .collect();
    let has_place = |term: &str| spans(term).any(|span| is_module(span) || is_path(span));
    let homeless: Vec<_> = terms.iter().filter(|term| !has_place(term)).collect();
    assert!(terms.len() > 50, "{terms:?}");
    assert!(homeless.is_empty(), "no place: {homeless:?}");
}

#[test]
fn every_type_of_the_glossary_is_declared() {
    let page = read("docs/glossary.md");
    let is_type = |span: &&str| {
        let has_small = span.contains(|c: char| c.is_ascii_lowercase());
        has_small
            && span.starts_with(|c: char| c.is_ascii_uppercase())
            && span.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let types: Vec<_> = spans(&page).filter(is_type).collect();
    let sources = [texts_below("src"), texts_below("crates")].concat();
    let is_declared = |name: &str| {
        let declarations = ["struct", "enum", "trait"].map(|kind| format!("{kind} {name}"));
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        sources.iter().any(|(_, text)| {
            let mut all = declarations
                .iter()
                .flat_map(|it| text.split(it.as_str()).skip(1));
            all.any(ends)
        })
    };
    let missing: Vec<_> = types.iter().filter(|name| !is_declared(name)).collect();
    assert!(types.len() > 20, "{types:?}");
    assert!(missing.is_empty(), "not declared: {missing:?}");
}

fn is_path(span: &str) -> bool {
    span.contains('/') && !span.starts_with('/') && !span.contains([' ', '{', ':'])
}

/// The code spans outside of code blocks that are paths of files or folders.
fn paths(page: &str) -> Vec<String> {
    let texts = page.split("```").step_by(2);
    texts
        .flat_map(spans)
        .filter(|span| is_path(span))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_path_of_map_and_glossary_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["ARCHITECTURE.md", "docs/glossary.md"] {
        let paths = paths(&std::fs::read_to_string(root.join(page)).unwrap());
        let exists =
            |path: &&String| root.join(path).exists() || root.join("src").join(path).exists();
        let missing: Vec<_> = paths.iter().filter(|path| !exists(path)).collect();
        assert!(paths.len() > 3, "{page}: {paths:?}");
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
}
