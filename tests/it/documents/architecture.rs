//! Dependencies between rooms, as `ARCHITECTURE.md` draws them, read from the sources.

use std::collections::BTreeSet;

use crate::support::files::{read, texts_below};

/// The rooms that each room may name, from the ground up.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("telemetry", &[]),
    ("text", &[]),
    ("remedy", &[]),
    ("form", &["text"]),
    ("redact", &["text"]),
    ("outbound", &[]),
    ("access", &["clock", "form", "text"]),
    ("callback", &["telemetry"]),
    ("pictures", &[]),
    ("db", &["clock", "telemetry", "text"]),
    (
        "codes",
        &["access", "clock", "db", "remedy", "telemetry", "text"],
    ),
    ("channels", &["clock", "codes", "db", "text"]),
    (
        "statistics",
        &["channels", "clock", "codes", "db", "outbound", "telemetry"],
    ),
    (
        "bindings",
        &["channels", "clock", "codes", "db", "statistics", "text"],
    ),
    (
        "webhooks",
        &[
            "channels",
            "clock",
            "db",
            "outbound",
            "statistics",
            "telemetry",
            "text",
        ],
    ),
    (
        "config",
        &[
            "access",
            "codes",
            "redact",
            "statistics",
            "telemetry",
            "text",
            "webhooks",
        ],
    ),
    (
        "http",
        &[
            "access",
            "bindings",
            "callback",
            "channels",
            "clock",
            "codes",
            "config",
            "db",
            "form",
            "pictures",
            "redact",
            "remedy",
            "statistics",
            "telemetry",
            "text",
            "webhooks",
        ],
    ),
    ("fuzzing", &["access", "form", "http"]),
    (
        "doctor",
        &[
            "app",
            "callback",
            "clock",
            "codes",
            "config",
            "db",
            "outbound",
            "remedy",
            "telemetry",
            "text",
            "webhooks",
        ],
    ),
    (
        "app",
        &[
            "bindings",
            "channels",
            "clock",
            "codes",
            "config",
            "db",
            "http",
            "outbound",
            "pictures",
            "statistics",
            "telemetry",
            "webhooks",
        ],
    ),
];

/// The places that may name a crate; a folder means all files in it.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("axum", &["app/", "http/"]),
    ("tower_http", &["http/"]),
    ("utoipa", &["http/"]),
    ("csv", &["http/"]),
    (
        "reqwest",
        &[
            "cli/codes/",
            "outbound.rs",
            "statistics/relay.rs",
            "webhooks/receiver.rs",
        ],
    ),
    ("rustls", &["outbound.rs"]),
    ("askama", &["http/"]),
    ("clap", &["config/", "cli/"]),
    ("anyhow", &["cli/"]),
    ("moka", &["access/", "codes/", "pictures.rs"]),
    // The log set-up silences it by name.
    (
        "sqlx",
        &[
            "db/",
            "codes/sql/",
            "statistics/sql/",
            "channels/sql/",
            "bindings/sql.rs",
            "webhooks/sql.rs",
            "telemetry/logging.rs",
        ],
    ),
    // A test reads the clock of its thread.
    ("rustix", &["db/", "form/mangled/tests.rs"]),
    ("http_listener", &["app/", "cli/sandbox.rs", "http/"]),
    ("channel_files", &["fuzzing.rs", "http/"]),
    ("qr_image", &["http/", "pictures.rs"]),
    ("local_guard", &["app/", "http/"]),
    ("wechat_sandbox", &["app/", "cli/"]),
    (
        "wechat",
        &[
            "app/",
            "bindings/",
            "callback/",
            "channels/",
            "cli/sign.rs",
            "codes/",
            "config/",
            "doctor/",
            "fuzzing.rs",
            "http/",
            "pictures.rs",
            "remedy.rs",
            "statistics/",
            "webhooks/",
        ],
    ),
];

/// Every source file by its path under `src/`, without its comments.
fn sources() -> Vec<(String, String)> {
    let mut found = texts_below("src");
    for (_, text) in &mut found {
        *text = without_comments(text);
    }
    assert!(found.len() > 20, "the sources are under src/");
    found
}

pub(super) fn without_comments(text: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// `codes` for `codes.rs` and for `codes/mint.rs`.
fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

/// The rooms named as `crate::ROOM`.
fn named_rooms<'a>(file: &str, code: &'a str) -> BTreeSet<&'a str> {
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            assert!(
                !rest.starts_with('{'),
                "{file}: one `use crate::ROOM` a line, so that this test can read it"
            );
            rest.split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .collect()
}

/// Whether the code has a path that begins with the crate, or with a module.
pub(super) fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    for (file, code) in sources() {
        let room = room(&file);
        if ["main", "lib", "cli"].contains(&room) {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| {
                panic!("{file}: give its room a row in MAY_USE and in ARCHITECTURE.md")
            });
        for used in named_rooms(&file, &code) {
            assert!(
                used == room || allowed.contains(&used),
                "{file} uses crate::{used}, which {room} must not know"
            );
        }
    }
}

#[test]
fn a_framework_stays_in_its_rooms() {
    for (file, code) in sources() {
        for (name, places) in MAY_NAME {
            let may = places.iter().any(|place| file.starts_with(place));
            assert!(
                may || !names_crate(&code, name),
                "{file} names {name}, which is for {places:?}"
            );
        }
    }
}

/// A double that shares the types shares the mistake. Cargo only keeps crates from depending on one
/// another in a circle.
#[test]
fn the_sandbox_does_not_depend_on_the_client() {
    let manifest = read("crates/wechat-sandbox/Cargo.toml");
    let names = manifest
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    assert!(names.clone().any(|name| name == "http-listener"));
    assert!(names.clone().all(|name| name != "wechat"));
}

#[test]
fn the_page_says_what_every_room_is_for() {
    let page = read("ARCHITECTURE.md");
    for (room, _) in MAY_USE {
        assert!(
            page.contains(&format!("**{room}**")),
            "ARCHITECTURE.md does not say what {room} is for"
        );
    }
}
