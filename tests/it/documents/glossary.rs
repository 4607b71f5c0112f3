//! The places that `docs/glossary.md` and `ARCHITECTURE.md` name exist.

use std::path::Path;

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

#[test]
fn every_module_of_the_glossary_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/glossary.md");
    let page = std::fs::read_to_string(page).unwrap();
    let spans = page.split('`').skip(1).step_by(2);
    let modules: Vec<_> = spans.filter(|span| span.contains("::")).collect();
    let missing: Vec<_> = modules.iter().filter(|path| !is_module(path)).collect();
    assert!(modules.len() > 10, "{modules:?}");
    assert!(missing.is_empty(), "not in src/ or crates/: {missing:?}");
}

/// The code spans outside of code blocks that are paths of files or folders.
fn paths(page: &str) -> Vec<String> {
    let is_path = |span: &&str| {
        span.contains('/') && !span.starts_with('/') && !span.contains([' ', '{', ':'])
    };
    let texts = page.split("```").step_by(2);
    texts
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .filter(is_path)
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
