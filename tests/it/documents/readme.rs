//! Every shell command of the READMEs and of `docs/` runs, and answers what the page shows; every
//! link leads somewhere.
//!
//! A ```` ```sh ```` block is run against a demo of its own page. The ```` ```json ````, ````
//! ```html ```` or ```` ```text ```` block that comes next, if one does, is what the command
//! writes; `…` in it matches anything.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::files::{path, read};

/// Lines that are not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo test", "it runs this; .ci/run ends with it"),
    ("cargo run --release -- serve", "needs a real account"),
    ("docker compose up demo", "needs a container engine"),
    (
        "docker compose up serve",
        "needs a container engine and a real account",
    ),
    (
        "docker compose exec serve wxqr doctor",
        "needs a container engine and a real account",
    ),
];

/// Pages of `docs/` that are not translated.
const ENGLISH_ONLY: &[&str] = &[
    "docs/glossary.md",
    "docs/performance.md",
    "docs/reliability.md",
    "docs/threat-model.md",
    "docs/walkthroughs.md",
];

/// What the pages call the demo.
const DEMO_ADDRESS: &str = "127.0.0.1:8080";

/// Fields of our JSON that differ from run to run; of all others the values are compared too.
const VARYING: &[&str] = &[
    "created_at",
    "ticket",
    "url",
    "expire_seconds",
    "expires_at",
    "image_url",
    "request_id",
];

struct Block {
    language: String,
    text: String,
    line: usize,
}

/// The files of a folder that end with `.md`, by their paths from the root.
fn pages_in(folder: &str) -> Vec<String> {
    let names = std::fs::read_dir(path(folder)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"));
    let mut pages: Vec<String> = pages.map(|name| format!("{folder}/{name}")).collect();
    pages.sort();
    pages
}

/// The English pages, each with its translation.
fn translated_pages() -> Vec<(String, String)> {
    let english = pages_in("docs").into_iter();
    let english = english.filter(|page| !ENGLISH_ONLY.contains(&page.as_str()));
    let pairs = english.map(|page| (page.clone(), page.replace("docs/", "docs/zh/")));
    std::iter::once(("README.md".to_owned(), "README.zh-CN.md".to_owned()))
        .chain(pairs)
        .collect()
}

/// The READMEs and every page of `docs/`.
fn pages() -> Vec<String> {
    let readmes = ["README.md", "README.zh-CN.md"].map(str::to_owned);
    let folders = ["docs", "docs/zh"].into_iter().flat_map(pages_in);
    readmes.into_iter().chain(folders).collect()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    line: number + 1,
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text += line;
                block.text += "\n";
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The commands of a block, without its comments; a line that ends with a backslash goes on.
fn commands(text: &str) -> Vec<String> {
    text.replace("\\\n", " ")
        .lines()
        .map(|line| {
            line.split(" # ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A `wxqr demo`, stopped when it is dropped.
struct Demo {
    process: Child,
    address: String,
    /// The line with the key, as it is printed.
    export: String,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deploy")).unwrap();
        for file in [".env.example", "deploy/secrets.sh"] {
            std::fs::copy(path(file), folder.path().join(file)).unwrap();
        }
        let (process, printed) = start("demo", "Ctrl-C", folder.path());
        assert!(printed.len() <= 10, "{printed:?}");
        let line = |start: &str| {
            let line = printed.iter().find(|line| line.starts_with(start));
            line.unwrap_or_else(|| panic!("no {start:?} in {printed:?}"))
        };
        let page = line("Page:").trim_start_matches("Page:").trim();
        Self {
            process,
            address: page
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            export: line("export KEY=").clone(),
            folder,
        }
    }

    /// Runs the commands in one shell, after the line that the demo prints for it, as a reader
    /// would type them.
    fn run(&self, commands: &[String]) -> Output {
        let commands = commands.join("\n").replace(DEMO_ADDRESS, &self.address);
        let script = format!("{}\n{commands}", self.export);
        let binary = Path::new(env!("CARGO_BIN_EXE_wxqr")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("WXQR_LISTEN", &self.address)
            .output()
            .expect("bash and curl are there")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Starts the program on any free port, and reads what it prints until a line has `last`.
fn start(arguments: &str, last: &str, folder: &Path) -> (Child, Vec<String>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_wxqr"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("WXQR_LISTEN", "127.0.0.1:0")
        .env("WXQR_LOG", "off")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut printed = Vec::new();
    for line in output.by_ref().lines() {
        printed.push(line.unwrap());
        if printed.last().is_some_and(|line| line.contains(last)) {
            break;
        }
    }
    process.stdout = Some(output.into_inner()); // Kept open: it may not have written all of it.
    (process, printed)
}

/// The arguments of a line that starts the demo or the sandbox, which run until they are stopped.
fn served(command: &str) -> Option<&str> {
    let command = command.trim_start_matches("sudo ");
    let is_sandbox = |arguments: &&str| arguments.starts_with("sandbox ");
    let program = || command.strip_prefix("wxqr ").filter(is_sandbox);
    command.strip_prefix("cargo run -- ").or_else(program)
}

/// Starts the program: it says what it is, and stops at the signal to stop.
fn run_until_it_listens(arguments: &str) {
    let arguments = arguments.replace(":8081", ":0").replace(":443", ":0");
    let folder = tempfile::tempdir().unwrap();
    let (mut process, printed) = start(&arguments, "SANDBOX", folder.path());
    assert!(
        printed.iter().any(|line| line.contains("SANDBOX")),
        "{arguments}: {printed:?}"
    );
    let stopped = Command::new("bash")
        .args(["-c", &format!("kill -TERM {}", process.id())])
        .status();
    assert!(stopped.unwrap().success());
    assert!(
        process.wait().unwrap().success(),
        "{arguments}: stops cleanly"
    );
}

/// Whether `text` is what `shown` says, where `…` matches anything.
fn is_shown(shown: &str, text: &str) -> bool {
    let mut pieces = shown.trim().split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.trim().strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let found = if pieces.peek().is_none() {
            rest.ends_with(piece).then_some(rest.len())
        } else {
            rest.find(piece).map(|at| at + piece.len())
        };
        let Some(end) = found else {
            return false;
        };
        rest = &rest[end..];
    }
    rest.is_empty()
}

/// Compares two JSON values: the same fields, and the same values in all that do not vary.
fn compare_json(place: &str, shown: &Value, got: &Value) {
    match (shown, got) {
        (Value::Object(shown), Value::Object(got)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(shown), keys(got), "{place}: the fields");
            for (key, value) in shown {
                if VARYING.contains(&key.as_str()) {
                    let same_kind = value.is_string() == got[key].is_string();
                    assert!(same_kind, "{place}: the type of {key}");
                } else {
                    compare_json(&format!("{place}: {key}"), value, &got[key]);
                }
            }
        }
        (Value::Array(shown), Value::Array(got)) => {
            assert_eq!(shown.len(), got.len(), "{place}: the length");
            for (shown, got) in shown.iter().zip(got) {
                compare_json(place, shown, got);
            }
        }
        _ => assert_eq!(shown, got, "{place}"),
    }
}

fn check_output(place: &str, block: &Block, output: &str) {
    match block.language.as_str() {
        "json" => {
            let shown = serde_json::from_str(&block.text)
                .unwrap_or_else(|error| panic!("{place}: what is shown is not JSON: {error}"));
            let got = serde_json::from_str(output)
                .unwrap_or_else(|error| panic!("{place}: not JSON: {error}\n{output}"));
            compare_json(place, &shown, &got);
        }
        _ => assert!(
            is_shown(&block.text, output),
            "{place}: shown\n{}\nbut got\n{output}",
            block.text
        ),
    }
}

/// Runs every command of a page and compares what it writes. Says how many there were.
fn run_page(file: &str) -> usize {
    let blocks = blocks(&read(file));
    let mut demo = None;
    let mut ran = 0;
    for (n, block) in blocks.iter().enumerate() {
        if block.language != "sh" {
            continue;
        }
        let place = format!("{file}:{}", block.line);
        let mut here = Vec::new();
        for command in commands(&block.text) {
            if let Some(arguments) = served(&command) {
                run_until_it_listens(arguments);
            } else if !ELSEWHERE.iter().any(|(line, _)| *line == command) {
                let is_build_or_engine =
                    command.starts_with("cargo") || command.starts_with("docker");
                assert!(!is_build_or_engine, "{place}: nothing runs {command:?}");
                here.push(command);
            }
        }
        if here.is_empty() {
            continue;
        }
        ran += here.len();
        let demo: &Demo = demo.get_or_insert_with(Demo::start);
        let output = demo.run(&here);
        let (text, complaint) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{place}: {}\n{text}\n{complaint}",
            output.status
        );
        let text = text
            .replace(&demo.address, DEMO_ADDRESS)
            .replace("\r\n", "\n");
        let shown = blocks.get(n + 1).filter(|next| next.language != "sh");
        if let Some(shown) = shown.filter(|next| !next.language.is_empty()) {
            check_output(&place, shown, &text);
        }
    }
    ran
}

#[test]
fn every_command_of_every_page_runs() {
    let pages = pages();
    let ran: usize = std::thread::scope(|scope| {
        let running: Vec<_> = pages
            .iter()
            .map(|page| scope.spawn(|| run_page(page)))
            .collect();
        let counts = running
            .into_iter()
            .map(|page| page.join().unwrap_or_else(|cause| resume_unwind(cause)));
        counts.sum()
    });
    assert!(ran > 60, "there are {ran} commands");
}

/// The commands of all `sh` blocks of a page.
fn commands_of(file: &str) -> Vec<String> {
    let blocks = blocks(&read(file));
    let shell = blocks.iter().filter(|block| block.language == "sh");
    shell.flat_map(|block| commands(&block.text)).collect()
}

#[test]
fn both_languages_have_the_same_pages_and_commands() {
    let pairs = translated_pages();
    for (english, chinese) in &pairs {
        assert_eq!(commands_of(english), commands_of(chinese), "{chinese}");
    }
    assert_eq!(
        pages().len(),
        2 * pairs.len() + ENGLISH_ONLY.len(),
        "every Chinese page has an English one"
    );
}

#[test]
fn what_is_run_elsewhere_is_in_a_page() {
    let all: Vec<String> = pages().iter().flat_map(|page| commands_of(page)).collect();
    for (line, reason) in ELSEWHERE {
        assert!(
            all.iter().any(|command| command == line),
            "{line} ({reason}) is no longer there"
        );
    }
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// Where the links of a page lead, those to other sites left out.
fn links(text: &str) -> Vec<String> {
    let links = prose(text);
    let links = links
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let links = links.map(|(target, _)| target.to_owned());
    links.filter(|target| !target.contains("://")).collect()
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let others = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/login/README.md",
        "examples/signing/README.md",
    ];
    for page in pages().into_iter().chain(others.map(str::to_owned)) {
        for link in links(&read(&page)) {
            let (file, at) = link.split_once('#').unwrap_or((&link, ""));
            let here = Path::new(&page);
            let target = if file.is_empty() {
                here.to_owned()
            } else {
                here.parent().unwrap().join(file)
            };
            assert!(root.join(&target).exists(), "{page}: no {link}");
            let headings = || prose(&read(target.to_str().unwrap()));
            let is_there = at.is_empty()
                || headings()
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == at);
            assert!(is_there, "{page}: no heading for {link}");
        }
    }
}

#[test]
fn the_index_has_every_page() {
    for folder in ["docs", "docs/zh"] {
        let index = links(&read(&format!("{folder}/README.md")));
        for page in pages_in(folder) {
            let name = page.rsplit('/').next().unwrap_or_default();
            let is_there = name == "README.md" || index.iter().any(|link| link == name);
            assert!(is_there, "{folder}/README.md has no {name}");
        }
    }
}

/// The texts between single asterisks.
fn emphasized(text: &str) -> Vec<&str> {
    let texts = text.split('*').skip(1).step_by(2);
    texts.filter(|text| !text.is_empty()).collect()
}

#[test]
fn the_login_example_names_buttons_that_there_are() {
    let page = read("examples/login/page.html");
    let phone = read("crates/wechat-sandbox/templates/phone.html");
    let readme = read("examples/login/README.md");
    let named = emphasized(&readme);
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        let is_there = page.contains(&format!(">{name}<"))
            || phone.contains(&format!(
                "<button name=\"do\" value=\"follow\">{{{{ lang.pick(\"{name}\", "
            ))
            || phone.contains(&format!(", \"{name}\") }}}}</button>"));
        assert!(is_there, "nothing is called {name:?}");
    }
}

/// The words of a file that begin like a metric's name and are one.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("wxqr_") && word.len() > "wxqr_".len())
        .collect()
}

#[test]
fn the_pages_name_every_metric() {
    let source = read("src/telemetry/names.rs");
    for file in ["docs/operating.md", "docs/zh/operating.md"] {
        assert_eq!(metrics_in(&read(file)), metrics_in(&source), "{file}");
    }
}

/// The codes of the service's errors, each with its status.
fn errors_in(source: &str) -> Vec<(&str, StatusCode)> {
    let rows = source.lines().filter_map(|line| {
        let (_, row) = line.split_once(" => (\"")?;
        let (code, rest) = row.split_once("\", S::")?;
        let (status, _) = rest.split_once(',')?;
        Some((code, status))
    });
    let named = |name: &str| {
        let mut all = (400..600).map(|number| StatusCode::from_u16(number).unwrap());
        let reason = name.replace('_', " ").to_lowercase();
        all.find(|status| status.canonical_reason().unwrap_or_default().to_lowercase() == reason)
    };
    rows.map(|(code, status)| (code, named(status).unwrap()))
        .collect()
}

#[test]
fn the_pages_name_every_error_with_its_status() {
    let source = read("src/http/problem/error_code.rs");
    let errors = errors_in(&source);
    assert!(errors.len() > 20, "{errors:?}");
    for file in ["docs/api.md", "docs/zh/api.md"] {
        let page = read(file);
        for (code, status) in &errors {
            let name = format!("`{code}`");
            let is_row = |line: &str| {
                let mut cells = line.split('|').skip(1);
                cells.next().unwrap_or_default().contains(status.as_str())
                    && cells.next().unwrap_or_default().contains(&name)
            };
            assert!(
                page.lines().any(is_row),
                "{file} has no row for {status} {code}"
            );
        }
    }
}

#[test]
fn what_is_shown_may_be_shortened() {
    for (shown, text, want) in [
        ("ok", "ok\n", true),
        ("a … c", "a b c", true),
        ("a …", "a b c", true),
        ("…\nc", "a\nb\nc\n", true),
        ("a … c", "a b d", false),
        ("a", "a b", false),
        ("a … b … d", "a x c … d", false),
    ] {
        assert_eq!(is_shown(shown, text), want, "{shown:?}, {text:?}");
    }
}
