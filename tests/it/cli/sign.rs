//! Links are signed alike by `wxqr sign`, by every program in `examples/signing` and by the
//! service's own keys.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;
use wxqr::access::{Link, LinkExpiry, LinkKeys};
use wxqr::clock::{Clock, SystemClock};
use wxqr::form::{self, escaped};

use crate::support::files::path;
use crate::support::process::run;
use crate::support::skip::skip;

/// The contract's vectors: key, parameters, canonical text, signature.
const VECTORS: [(&str, &[&str], &str, &str); 2] = [
    (
        "wxqr-example-link-key",
        &[
            "exp=1924963200",
            "expire_seconds=3600",
            "scene_str=展会 A+1",
        ],
        "/qrcode\nexp=1924963200&expire_seconds=3600&scene_str=%E5%B1%95%E4%BC%9A%20A%2B1",
        "IOpJq8F-quFpsy5VUJ5FpBRyC4d3bI8JFZW0IRED6Ww",
    ),
    (
        "link-key-1",
        &["scene_id=123", "exp=1893456000"],
        "/qrcode\nexp=1893456000&scene_id=123",
        "a5i5h1-M2pEmp0RmEBoryfsnYomBcfYkZdrIhenvE5g",
    ),
];

const KEY: &str = "link-key-1";

/// Parameters that are easily got wrong, with some that no signature covers.
const HARD: [&[&str]; 24] = [
    &["scene_str= a b "],
    &["scene_str=a+b"],
    &["scene_str=~-._"],
    &["scene_str=*"],
    &["scene_str=!"],
    &["scene_str='"],
    &["scene_str=(a)"],
    &["scene_str=a&scene_id=2"],
    &["scene_str=a=b=="],
    &["scene_str=100%"],
    &["scene_str=%41%2B"],
    &["scene_str=展会"],
    &["scene_str=é e\u{301} ß ÿ"],
    &["scene_str=🎪👩\u{200d}🚀"],
    &["scene_str=/?#[]@:;,$"],
    &["scene_str=\"`\\|<>{}^"],
    &["scene_str=-n $HOME $(id) \\n %s"],
    &["scene_str=*.rs ? [a-z]"],
    &["scene_str=a", "permanent="],
    &["permanent=false", "scene_id=1", "expire_seconds=60"],
    &["scene_str=展", "size=300", "format=png", "color=07603b"],
    &["utm_campaign=双十一 & more", "scene_id=4294967295"],
    &["exp=1999999999", "scene_id=1", "lang=zh", "permanent=true"],
    &["scene_str=\u{3000}展\u{a0}"],
];

/// One program of `examples/signing`, and how it is run.
struct Example {
    program: &'static str,
    arguments: Vec<PathBuf>,
    _build: Option<TempDir>,
}

fn folder() -> PathBuf {
    path("examples/signing")
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Example {
    /// A script with its interpreter; none if that, or another program that it needs, is not there.
    fn script(program: &'static str, file: &str, needs: &[&str]) -> Option<Self> {
        if let Some(missing) = [program]
            .iter()
            .chain(needs)
            .find(|program| !is_there(program))
        {
            skip(
                &format!("{missing} is not installed"),
                "REQUIRE_SIGNING_RUNTIMES",
            );
            return None;
        }
        Some(Self {
            program,
            arguments: vec![folder().join(file)],
            _build: None,
        })
    }

    /// The program in Go, built once.
    fn go() -> Option<Self> {
        let script = Self::script("go", "sign.go", &[])?;
        let build = tempfile::tempdir().unwrap();
        let binary = build.path().join("sign");
        let output = Command::new("go")
            .args(["build", "-o"])
            .args([&binary, &script.arguments[0]])
            .current_dir(build.path())
            .env("GOCACHE", build.path().join("cache"))
            .env("GOTOOLCHAIN", "local")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        // `env` runs a program by its path, as the interpreters run a script.
        Some(Self {
            program: "env",
            arguments: vec![binary],
            _build: Some(build),
        })
    }

    fn run(&self, key: Option<&str>, parameters: &[&str]) -> Output {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).args(parameters);
        match key {
            Some(key) => command.env("LINK_KEY", key),
            None => command.env_remove("LINK_KEY"),
        };
        command.output().unwrap()
    }

    fn sign(&self, key: &str, parameters: &[&str]) -> String {
        let output = self.run(Some(key), parameters);
        assert!(output.status.success(), "{parameters:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{parameters:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_suffix('\n').unwrap().to_owned()
    }

    /// It signs as the service does, to the letter, and only with a key.
    fn agrees(&self) {
        for (key, parameters, canonical, sig) in VECTORS {
            let got = self.sign(key, parameters);
            assert!(got.ends_with(&format!("&sig={sig}")), "{canonical}: {got}");
        }
        for parameters in HARD {
            let got = self.sign(KEY, parameters);
            assert_eq!(got, signed(KEY, parameters), "{parameters:?}");
        }
        let output = self.run(None, &["scene_id=1"]);
        assert!(!output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("LINK_KEY"),
            "{output:?}"
        );
    }
}

fn pairs<'a>(parameters: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let pairs = parameters.iter().map(|text| text.split_once('=').unwrap());
    pairs.collect()
}

/// The query as the service's own keys sign it.
fn signed(key: &str, parameters: &[&str]) -> String {
    let keys: LinkKeys = key.parse().unwrap();
    let sig = keys.sign(pairs(parameters)).unwrap();
    let query: Vec<String> = pairs(parameters)
        .into_iter()
        .map(|(name, value)| format!("{}={}&", escaped(name), escaped(value)))
        .collect();
    format!("{}sig={sig}", query.concat())
}

#[test]
fn the_python_program_signs_as_the_service_does() {
    if let Some(example) = Example::script("python3", "sign.py", &[]) {
        example.agrees();
    }
}

#[test]
fn the_node_program_signs_as_the_service_does() {
    if let Some(example) = Example::script("node", "sign.mjs", &[]) {
        example.agrees();
    }
}

#[test]
fn the_php_program_signs_as_the_service_does() {
    if let Some(example) = Example::script("php", "sign.php", &[]) {
        example.agrees();
    }
}

#[test]
fn the_go_program_signs_as_the_service_does() {
    if let Some(example) = Example::go() {
        example.agrees();
    }
}

#[test]
fn the_shell_program_signs_as_the_service_does() {
    for shell in ["sh", "bash"] {
        if let Some(example) = Example::script(shell, "sign.sh", &["openssl"]) {
            example.agrees();
        }
    }
}

#[test]
fn the_paper_beside_the_programs_has_the_vectors_and_all_programs() {
    let paper = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (key, _, canonical, sig) in VECTORS {
        let canonical = canonical.replace('\n', "⏎");
        let row = format!("| `{key}` | `{canonical}` | `{sig}` |");
        assert!(paper.contains(&row), "{row}");
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let link = format!("[{name}]({name})");
        assert!(name == "README.md" || paper.contains(&link), "{link}");
    }
}

/// Runs `wxqr sign` with that key and nothing else.
async fn sign(arguments: &[&str]) -> String {
    sign_with(arguments, &[("WXQR_LINK_KEYS", KEY)]).await
}

async fn sign_with(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(&[&["sign"], arguments].concat(), variables).await;
    assert_eq!(output.status, 0, "{arguments:?}: {output:?}");
    assert_eq!(output.stderr, "", "{arguments:?}");
    output.stdout.strip_suffix('\n').unwrap().to_owned()
}

#[tokio::test]
async fn the_command_signs_the_vectors() {
    for (key, parameters, _, sig) in VECTORS {
        let query: Vec<String> = pairs(parameters)
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let query = query.join("&");
        let got = sign_with(&[&query], &[("WXQR_LINK_KEYS", key)]).await;
        assert_eq!(got, format!("/qrcode?{query}&sig={sig}"));
    }
}

#[tokio::test]
async fn the_command_takes_parameters_a_path_or_a_whole_link() {
    let public = ("WXQR_PUBLIC_URL", "https://qr.example.com/wx");
    let sig = "a5i5h1-M2pEmp0RmEBoryfsnYomBcfYkZdrIhenvE5g";
    for (given, variables, want) in [
        (
            "scene_id=123&exp=1893456000",
            vec![],
            "/qrcode?scene_id=123&exp=1893456000",
        ),
        (
            "?exp=1893456000&scene_id=123&utm_source=%E5%B1%95+%2b",
            vec![public],
            "https://qr.example.com/wx/qrcode?exp=1893456000&scene_id=123&utm_source=%E5%B1%95%20%2B",
        ),
        (
            "/wx/qrcode.png?scene_id=123&exp=1893456000&size=300",
            vec![public],
            "/wx/qrcode.png?scene_id=123&exp=1893456000&size=300",
        ),
        (
            "https://a.example/qrcode?scene_id=%3123&exp=1893456000",
            vec![public],
            "https://a.example/qrcode?scene_id=123&exp=1893456000",
        ),
        (
            "http://127.0.0.1:8080/a/b/qrcode.svg?scene_id=123&exp=1893456000",
            vec![],
            "http://127.0.0.1:8080/a/b/qrcode.svg?scene_id=123&exp=1893456000",
        ),
    ] {
        let mut variables = variables;
        variables.push(("WXQR_LINK_KEYS", KEY));
        let got = sign_with(&[given], &variables).await;
        assert_eq!(got, format!("{want}&sig={sig}"));
    }
}

#[tokio::test]
async fn the_command_makes_links_that_end() {
    let before = SystemClock.now();
    let link = sign(&["scene_str=展会 7", "--expires-in", "30d"]).await;
    let after = SystemClock.now();
    let mut parameters = form::pairs(link.strip_prefix("/qrcode?").unwrap()).unwrap();
    let (_, sig) = parameters.pop().unwrap();
    let texts: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(texts[0], ("scene_str", "展会 7"));
    let keys: LinkKeys = KEY.parse().unwrap();
    let verified = keys.verify(texts, Some(&sig), after);
    let Ok(Link::Signed { exp: Some(exp) }) = verified else {
        panic!("{link}: {verified:?}");
    };
    let days = std::time::Duration::from_hours(30 * 24);
    let range = LinkExpiry::from(before + days)..=LinkExpiry::from(after + days);
    assert!(range.contains(&exp), "{exp} in {range:?}");
}

#[tokio::test]
async fn the_command_signs_with_the_first_key_from_wherever_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "link-key-1,link-key-2\n").unwrap();
    let file = file.to_str().unwrap();
    let want = format!("/qrcode?{}", signed(KEY, &["scene_id=1"]));
    for (arguments, variables) in [
        (
            &["scene_id=1"][..],
            &[("WXQR_LINK_KEYS", "link-key-1,link-key-2")][..],
        ),
        (&["scene_id=1"], &[("WXQR_LINK_KEYS_FILE", file)]),
        (&["scene_id=1", "--link-keys-file", file], &[]),
        // What else is set, or missing, does not matter.
        (
            &["scene_id=1"],
            &[("WXQR_LINK_KEYS", KEY), ("WXQR_LISTEN", "nowhere")],
        ),
    ] {
        assert_eq!(sign_with(arguments, variables).await, want);
    }
}

#[tokio::test]
async fn the_command_refuses_links_that_would_not_work() {
    for (arguments, want) in [
        (&[][..], "LINK"),
        (&[""], "either scene_id or scene_str"),
        (&["scene=1"], "either scene_id or scene_str"),
        (&["scene_id=1&scene_str=a"], "either scene_id or scene_str"),
        (&["scene_id=0"], "1 to 4294967295"),
        (&["scene_id=0123"], "leading zeros"),
        (&["scene_id=100001&permanent=true"], "1 to 100000"),
        (&["scene_id=1&permanent=yes"], "true or false"),
        (&["scene_id=1&expire_seconds=2592001"], "2592000"),
        (
            &["scene_id=1&expire_seconds=60&permanent=true"],
            "temporary codes only",
        ),
        (&["scene_str=wxqr.x"], "wxqr."),
        (&["scene_str=a%0Ab"], "control"),
        (&["scene_str=%FF"], "UTF-8"),
        (&["scene_id=1&scene_id=1"], "once only"),
        (&["scene_id=1&exp=2&exp=3"], "once only"),
        (&["scene_id=1&exp=1"], "has passed"),
        (&["scene_id=1&exp=soon"], "whole seconds"),
        (&["scene_id=1&exp=1893456000000"], "whole seconds"),
        (&["scene_id=1&sig=x"], "sig"),
        (&["scene_str=a#1"], "%23"),
        (
            &["scene_id=1&amp;permanent=true"],
            "permanent is mangled: \"&amp;\" stands for \"&\"",
        ),
        (&["scene_str=a%26exp=1893456000"], "exp is mangled"),
        (&["https://a.example/?scene_id=1"], "only links to /qrcode"),
        (&["https://qrcode?scene_id=1"], "only links to /qrcode"),
        (&["/qrcode.gif?scene_id=1"], "only links to /qrcode"),
        (&["/api/codes?scene_id=1"], "only links to /qrcode"),
        (&["/a b/qrcode?scene_id=1"], "only links to /qrcode"),
        (&["/qrcode"], "either scene_id or scene_str"),
        (&["scene_id=1", "--expires-in", "30"], "--expires-in"),
        (
            &["scene_id=1", "--expires-in", "10ms"],
            "at least one second",
        ),
        (&["scene_id=1", "--expires-in", "9999y"], "year 9999"),
        (
            &["scene_id=1&exp=1893456000", "--expires-in", "1d"],
            "has an exp",
        ),
        (&["scene_id=1", "scene_id=2"], "unexpected argument"),
    ] {
        let arguments = [&["sign"], arguments].concat();
        let output = run(&arguments, &[("WXQR_LINK_KEYS", KEY)]).await;
        assert_eq!(output.status, 2, "{arguments:?}: {output:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(output.stderr.contains(want), "{arguments:?}: {output:?}");
        assert!(!output.stderr.contains(KEY), "{output:?}");
    }
}

#[tokio::test]
async fn without_link_keys_the_command_ends_with_78() {
    for (variables, want) in [
        (&[][..], "WXQR_LINK_KEYS: is required"),
        (&[("WXQR_LINK_KEYS", "s3cret")], "WXQR_LINK_KEYS: key 1 has"),
        (
            &[("WXQR_LINK_KEY", "s3cret-s3cret")],
            "did you mean WXQR_LINK_KEYS?",
        ),
    ] {
        let output = run(&["sign", "scene_id=1"], variables).await;
        assert_eq!(output.status, 78, "{output:?}");
        assert_eq!(output.stdout, "");
        assert!(output.stderr.contains(want), "{output:?}");
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    }
}
