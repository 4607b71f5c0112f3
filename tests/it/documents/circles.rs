//! Circles of imports: files that can only be understood together.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture::{names_crate, without_comments};
use crate::support::files::texts_below;

/// Children that import from a parent which uses them, and may: each writes a part of what the
/// parent begins.
const MAY_IMPORT_THEIR_PARENT: [&str; 4] = [
    // A part of the `impl` of the parent's type.
    "crates/wechat/src/client/call",
    "crates/wechat/src/push/reply",
    // A part of the parent's transaction.
    "src/statistics/sql/recording/replies",
    // The parent has the names of the metrics whose labels these are.
    "src/telemetry/known_labels",
];

/// The files with code by the paths of their modules, such as `src/codes/token`. Tests and
/// re-exports are left out.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for folder in ["src", "crates"] {
        for (file, text) in texts_below(folder) {
            let file = format!("{folder}/{file}");
            let Some(module) = file.strip_suffix(".rs").filter(|it| it.contains("src/")) else {
                continue;
            };
            let module = module.strip_suffix("/mod").unwrap_or(module);
            let code = without_comments(&text);
            let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\nimpl "];
            let ends = tests.iter().filter_map(|tests| code.find(tests));
            let code = &code[..ends.min().unwrap_or(code.len())];
            let statements = code.split(';').filter(|it| !is_reexport(it));
            let code = statements.collect::<Vec<_>>().join(";");
            modules.insert(module.to_owned(), code);
        }
    }
    modules
}

fn is_reexport(statement: &str) -> bool {
    let mut words = statement.split_whitespace();
    words.next().is_some_and(|word| word.starts_with("pub")) && words.next() == Some("use")
}

/// The other modules that a module names: by paths from the root of its crate or from the modules
/// above it, and those below it.
fn imports(module: &str, code: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let root = module.find("src/").expect("it has a path below src") + "src".len();
    let parts: Vec<_> = module[root + 1..].split('/').collect();
    let mut code = code.replace("(in crate::", "(in ").replace("self::", "");
    for up in (1..=parts.len()).rev() {
        let above: String = parts[..parts.len() - up]
            .iter()
            .flat_map(|part| [*part, "::"])
            .collect();
        code = code.replace(&"super::".repeat(up), &format!("crate::{above}"));
    }
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let is_end = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
        let (path, rest) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
        let names = rest.strip_prefix('{').and_then(|it| it.split('}').next());
        for name in names.unwrap_or_default().split(',') {
            let path = format!("{path}{}", name.trim()).replace("::", "/");
            let path = format!("{}/{path}/", &module[..root]);
            let mut prefixes = path.match_indices('/').map(|(at, _)| &path[..at]);
            let module = prefixes.rfind(|prefix| modules.contains_key(*prefix));
            found.extend(module.map(str::to_owned));
        }
    }
    for other in modules.keys() {
        if let Some((parent, name)) = other.rsplit_once('/')
            && parent == module
            && names_crate(&code, name)
        {
            found.insert(other.clone());
        }
    }
    found.remove(module);
    found
}

#[test]
fn imports_do_not_run_in_a_circle() {
    let modules = modules();
    let mut left = BTreeMap::new();
    for (module, code) in &modules {
        let mut named = imports(module, code, &modules);
        if MAY_IMPORT_THEIR_PARENT.contains(&module.as_str()) {
            named.retain(|other| !module.starts_with(&format!("{other}/")));
        }
        left.insert(module.clone(), named);
    }
    assert!(left["src/codes/temporary"].contains("src/codes/admission"));
    // What names none of those that are left, or is named by none, is in no circle.
    loop {
        let before: BTreeSet<_> = left.keys().cloned().collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        left.retain(|module, others| {
            others.retain(|other| before.contains(other));
            !others.is_empty() && imported.contains(module)
        });
        if left.len() == before.len() {
            break;
        }
    }
    assert!(
        left.is_empty(),
        "move what these share into a file of its own: {left:#?}"
    );
}
