//! Circles of imports: files that can only be understood together.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture::without_comments;
use crate::support::files::texts_below;

/// Children that import from a parent which uses them, and may: each writes a part of what the
/// parent begins.
const MAY_IMPORT_THEIR_PARENT: [&str; 3] = [
    // A part of the `impl` of the parent's type.
    "crates/wechat/src/client/call",
    "crates/wechat/src/push/reply",
    // A part of the parent's transaction.
    "src/statistics/sql/recording/replies",
];

/// A file with code, without its tests.
#[derive(Default)]
struct Module {
    code: String,
    /// The paths of the items that it exports from other modules, by their names.
    reexports: BTreeMap<String, String>,
}

/// By paths such as `src/codes/token`; `src` is the root of its crate.
type Modules = BTreeMap<String, Module>;

impl Module {
    fn new(path: &str, text: &str) -> Self {
        let code = without_test_items(&without_comments(text));
        let (reexports, code): (Vec<_>, Vec<_>) = code.split(';').partition(|it| is_reexport(it));
        let reexports = reexports.into_iter().flat_map(|it| paths_in(path, it));
        let named = reexports.filter_map(|it| Some((it.rsplit_once('/')?.1.to_owned(), it)));
        Self {
            reexports: named.collect(),
            code: code.join(";"),
        }
    }
}

fn without_test_items(code: &str) -> String {
    let tests = code.find("#[cfg(test)]\nmod tests {");
    let mut code = code[..tests.unwrap_or(code.len())].to_owned();
    while let Some(start) = code.find("#[cfg(test)]\nimpl ") {
        let end = code[start..].find("\n}").expect("the block ends");
        code.replace_range(start..start + end + "\n}".len(), "");
    }
    code
}

fn is_reexport(statement: &str) -> bool {
    let mut words = statement.split_whitespace();
    words.next().is_some_and(|word| word.starts_with("pub")) && words.next() == Some("use")
}

/// The paths in some code of a module that begin with `crate`, `self` or `super`.
fn paths_in(module: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, word) in ["crate", "self", "super"]
        .iter()
        .flat_map(|word| code.match_indices(word))
    {
        let (before, rest) = (&code[..start], &code[start + word.len()..]);
        let is_visibility = before.ends_with("(in ");
        if is_visibility || before.ends_with(is_of_path) || !rest.starts_with("::") {
            continue;
        }
        let path = &code[start..];
        found.extend(expanded(path).iter().map(|path| absolute(module, path)));
    }
    found
}

fn is_of_path(letter: char) -> bool {
    letter.is_alphanumeric() || "_:".contains(letter)
}

/// The path at the beginning of some code, once for each name in its braces.
fn expanded(code: &str) -> Vec<String> {
    let end = code.find(|c| !is_of_path(c)).unwrap_or(code.len());
    let (path, rest) = code.split_at(end);
    let Some(names) = rest.strip_prefix('{').and_then(|it| it.split('}').next()) else {
        return vec![path.to_owned()];
    };
    assert!(!names.contains('{'), "split what {path} nests");
    let name = |name: &str| name.split_whitespace().next().map(str::to_owned);
    let names = names.split(',').filter_map(name);
    names.map(|name| format!("{path}{name}")).collect()
}

/// `src/codes/cache/CodeCache` for `super::cache::CodeCache` in `src/codes/mint`.
fn absolute(module: &str, path: &str) -> String {
    let root = module.find("src").expect("it has a path below src") + "src".len();
    let mut base = module.to_owned();
    let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next_if(|part| ["crate", "self", "super"].contains(part)) {
        match part {
            "crate" => base.truncate(root),
            "super" => base.truncate(base.rfind('/').unwrap_or(root).max(root)),
            _ => {}
        }
    }
    parts.fold(base, |path, part| path + "/" + part)
}

/// The module that defines what a path names, through re-exports.
fn defining<'m>(modules: &'m Modules, path: &str) -> Option<&'m str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let ends = ends.chain([path.len()]).collect::<Vec<_>>();
    let at = ends
        .into_iter()
        .rfind(|at| modules.contains_key(&path[..*at]))?;
    let (module, known) = modules.get_key_value(&path[..at])?;
    let item = path[at..].trim_start_matches('/').split('/').next();
    match known.reexports.get(item?) {
        Some(target) if target != path => defining(modules, target),
        _ => Some(module),
    }
}

/// The other modules whose items a module uses.
fn imports(modules: &Modules, path: &str) -> BTreeSet<String> {
    let Module { code, reexports } = &modules[path];
    let mut named = paths_in(path, code);
    // Of those that are declared here a path needs no `self`.
    let declared = modules
        .keys()
        .filter_map(|it| it.strip_prefix(path)?.strip_prefix('/'));
    for child in declared.filter(|child| !child.contains('/')) {
        let start = format!("{child}::");
        let uses = code.match_indices(&start).map(|(at, _)| at);
        let uses = uses.filter(|at| !code[..*at].ends_with(is_of_path));
        let uses = uses.flat_map(|at| expanded(&code[at..]));
        named.extend(uses.map(|it| absolute(path, &it)));
    }
    let used = |name: &&String| code.split(|c| !is_of_path(c)).any(|word| word == **name);
    let own = reexports.keys().filter(used).map(|name| &reexports[name]);
    named.extend(own.cloned());
    let found = named.iter().filter_map(|named| defining(modules, named));
    found.filter(|it| *it != path).map(str::to_owned).collect()
}

/// The modules that import one another in a circle, and those between circles, with their imports.
fn circles(modules: &Modules) -> BTreeMap<&str, BTreeSet<String>> {
    let mut left = BTreeMap::new();
    for path in modules.keys() {
        let mut imports = imports(modules, path);
        if MAY_IMPORT_THEIR_PARENT.contains(&path.as_str()) {
            imports.retain(|other| !path.starts_with(&format!("{other}/")));
        }
        left.insert(path.as_str(), imports);
    }
    // What imports none of those that are left, or is imported by none, is in no circle.
    loop {
        let before: BTreeSet<_> = left.keys().map(ToString::to_string).collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        left.retain(|path, imports| {
            imports.retain(|other| before.contains(other));
            !imports.is_empty() && imported.contains(*path)
        });
        if left.len() == before.len() {
            return left;
        }
    }
}

fn modules(files: &[(&str, &str)]) -> Modules {
    let module = |(path, text): &(&str, &str)| ((*path).to_owned(), Module::new(path, text));
    files.iter().map(module).collect()
}

#[test]
fn a_circle_of_imports_is_found() {
    for (files, want) in [
        (
            [
                ("src/a", "use crate::b::B;"),
                ("src/b", "use super::c::{C, D};"),
                ("src/c", ""),
            ],
            vec![],
        ),
        (
            [
                ("src/a", "use crate::b::B;"),
                ("src/b", "fn b() { super::a::f() }"),
                ("src/c", "use crate::{a::A, b::B};"),
            ],
            vec!["src/a", "src/b"],
        ),
        // Through what a root or a parent exports.
        (
            [
                ("src", "pub use self::a::A;"),
                ("src/a", "use crate::b::B;"),
                ("src/b", "use crate::A;"),
            ],
            vec!["src/a", "src/b"],
        ),
        (
            [
                ("src/a", "mod b; pub use self::b::B; struct A(B);"),
                ("src/a/b", "use super::A;"),
                ("src/c", "use crate::a::B;"),
            ],
            vec!["src/a", "src/a/b"],
        ),
        (
            [
                ("src/a", "use b::c::C;"),
                ("src/a/b", ""),
                ("src/a/b/c", "use crate::a::A;"),
            ],
            vec!["src/a", "src/a/b/c"],
        ),
    ] {
        let modules = modules(&files);
        let found: Vec<_> = circles(&modules).into_keys().collect();
        assert_eq!(found, want, "{files:?}");
    }
}

#[test]
fn imports_do_not_run_in_a_circle() {
    let mut modules = Modules::new();
    for folder in ["src", "crates"] {
        for (file, text) in texts_below(folder) {
            let file = format!("{folder}/{file}");
            let is_of_product = file.contains("src/") && !file.ends_with("/tests.rs");
            let Some(path) = file.strip_suffix(".rs").filter(|_| is_of_product) else {
                continue;
            };
            let path = path.strip_suffix("/mod").unwrap_or(path);
            let path = path.strip_suffix("/lib").unwrap_or(path);
            modules.insert(path.to_owned(), Module::new(path, &text));
        }
    }
    assert!(imports(&modules, "src/codes/temporary").contains("src/codes/admission"));
    let circles = circles(&modules);
    assert!(
        circles.is_empty(),
        "move what these share into a file of its own: {circles:#?}"
    );
}
