//! The container files say what the settings and the manifest say.

use std::collections::BTreeMap;

use wxqr::config::SETTINGS;

use crate::support::files::read;

/// The words of an instruction, continued lines joined.
fn instruction(dockerfile: &str, name: &str) -> Vec<String> {
    let joined = dockerfile.replace("\\\n", " ");
    let line = joined
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name}"));
    line.split_whitespace().map(Into::into).collect()
}

/// What a setting's meaning says of the image: "(image: `X`)".
fn in_the_image(meaning: &str) -> Option<&str> {
    let (_, rest) = meaning.split_once("(image: `")?;
    rest.split_once('`').map(|(value, _)| value)
}

#[test]
fn the_image_sets_what_the_table_of_settings_says_of_it() {
    let got: BTreeMap<String, String> = instruction(&read("Dockerfile"), "ENV ")
        .iter()
        .map(|pair| {
            let (variable, value) = pair.split_once('=').unwrap();
            (variable.to_owned(), value.to_owned())
        })
        .collect();
    let want: BTreeMap<String, String> = SETTINGS
        .iter()
        .filter_map(|setting| {
            let help = setting.help();
            let value = in_the_image(&help)?;
            Some((setting.variable(), value.to_owned()))
        })
        .collect();
    assert_eq!(got, want);
}

#[test]
fn the_image_exposes_the_ports_that_it_listens_on() {
    let dockerfile = read("Dockerfile");
    let listened: Vec<String> = instruction(&dockerfile, "ENV ")
        .iter()
        .filter(|pair| pair.contains("LISTEN="))
        .map(|pair| pair.rsplit_once(':').unwrap().1.to_owned())
        .collect();
    assert_eq!(instruction(&dockerfile, "EXPOSE "), listened);
}

#[test]
fn the_image_carries_the_version_of_the_manifest() {
    let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(read("Dockerfile").contains(&format!("ARG {version}\n")));
}

#[test]
fn the_image_is_built_by_the_pinned_compiler() {
    let toolchain = read("rust-toolchain.toml");
    let mut lines = toolchain.lines();
    let channel = lines.find_map(|line| line.strip_prefix("channel = "));
    let version = channel.unwrap().trim_matches('"');
    let image = format!("rust:{version}-bookworm");
    assert!(read("Dockerfile").contains(&format!("ARG BUILD_IMAGE={image}\n")));
    assert!(read("docs/zh/operating.md").contains(&format!("/{image} ")));
}

#[test]
fn the_container_files_name_settings_that_exist() {
    let known: Vec<String> = SETTINGS
        .iter()
        .flat_map(|setting| std::iter::once(setting.variable()).chain(setting.file_variable()))
        .collect();
    for file in [".env.example", "compose.yaml"] {
        let text = read(file);
        let mut found = 0;
        for line in text.lines().map(str::trim_start) {
            let variable = line.split([':', '=']).next().unwrap_or_default();
            if variable.starts_with("WXQR_") {
                found += 1;
                assert!(known.iter().any(|name| name == variable), "{file}: {line}");
            }
        }
        assert!(found > 0, "{file} sets nothing");
    }
}
