//! The places that `docs/glossary.md` names exist.

use std::path::Path;

/// True if `codes::sql::lease` is the file or the folder `src/codes/sql/lease`.
fn is_module(path: &str) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let module = source.join(path.replace("::", "/"));
    module.is_dir() || module.with_extension("rs").is_file()
}

#[test]
fn every_module_of_the_glossary_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/glossary.md");
    let page = std::fs::read_to_string(page).unwrap();
    let spans = page.split('`').skip(1).step_by(2);
    let modules: Vec<_> = spans.filter(|span| span.contains("::")).collect();
    let missing: Vec<_> = modules.iter().filter(|path| !is_module(path)).collect();
    assert!(modules.len() > 10, "{modules:?}");
    assert!(missing.is_empty(), "not in src/: {missing:?}");
}
