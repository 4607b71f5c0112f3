//! The tables of settings in `docs/` say what the code does.

use wxqr::config::{Description, SETTINGS};

use crate::support::files::read;

/// The rows `| variable | default | meaning |` of a page.
fn rows(file: &str) -> Vec<[String; 3]> {
    read(file).lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<[String; 3]> {
    let cells: Vec<&str> = line
        .strip_prefix("| `WXQR_")?
        .strip_suffix(" |")?
        .split(" | ")
        .collect();
    let [variable, default, meaning] = cells[..] else {
        return None;
    };
    let variable = variable.strip_suffix('`')?;
    Some([format!("WXQR_{variable}"), default.into(), meaning.into()])
}

#[test]
fn the_page_lists_every_setting_as_it_is() {
    let got = rows("docs/configuration.md");
    let want: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let meaning = setting.help();
            [setting.variable(), setting.default_column(), meaning]
        })
        .collect();
    let table: Vec<String> = want
        .iter()
        .map(|[variable, default, meaning]| format!("| `{variable}` | {default} | {meaning} |"))
        .collect();
    assert_eq!(got, want, "the table should read:\n{}", table.join("\n"));
}

#[test]
fn both_pages_name_every_secret_that_may_be_in_a_file() {
    let secrets = SETTINGS
        .iter()
        .filter(|setting| setting.file_variable().is_some());
    let want: Vec<_> = secrets.map(Description::variable).collect();
    for (page, heading) in [
        ("docs/configuration.md", "## Secrets in files"),
        ("docs/zh/configuration.md", "## 放在文件里的机密"),
    ] {
        let text = read(page);
        let (_, rest) = text.split_once(heading).unwrap();
        let (part, _) = rest.split_once("\n## ").unwrap();
        let names = part.split('`').filter(|word| word.starts_with("WXQR_"));
        let got: Vec<_> = names.filter(|name| !name.ends_with("_FILE")).collect();
        assert_eq!(got, want, "{page}");
    }
}

/// The words for a default that is none, in Chinese.
const TRANSLATIONS: [(&str, &str); 2] = [("unset", "未设置"), ("required", "必填")];

#[test]
fn the_chinese_page_lists_every_setting_with_its_default() {
    let got: Vec<_> = rows("docs/zh/configuration.md")
        .into_iter()
        .map(|[variable, default, _]| [variable, default])
        .collect();
    let want: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let default = setting.default_column();
            let translated = TRANSLATIONS
                .iter()
                .find(|(english, _)| *english == default)
                .map_or(default.as_str(), |(_, chinese)| chinese);
            [setting.variable(), translated.to_owned()]
        })
        .collect();
    assert_eq!(got, want);
}
