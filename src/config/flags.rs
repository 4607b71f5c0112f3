//! Command-line flags of the settings, with their `--help`.

use std::ffi::OsString;

use clap::{Arg, Command, value_parser};

use super::setting::{DemoPolicy, Description, Fallback};
use super::settings::SETTINGS;

/// Adds the flags of every setting to a command, as raw text: clap would report only the first
/// invalid value, [`Config::load`](super::Config::load) reports all.
pub fn flags(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        command.args(arguments(setting, setting.fallback))
    })
}

/// Like [`flags`], for a command that reads only these settings.
pub fn flags_of(command: Command, names: &[&str]) -> Command {
    SETTINGS
        .iter()
        .filter(|setting| names.contains(&setting.name))
        .fold(command, |command, setting| {
            command.args(arguments(setting, setting.fallback))
        })
}

/// Like [`flags`], for `wxqr demo`. Flags that the demo refuses are parsed but hidden from
/// `--help`, so that the error can say why they are refused.
pub fn demo_flags(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        let hidden = setting.demo == DemoPolicy::MakesItsOwn;
        let fallback = setting.demo_fallback();
        command.args(arguments(setting, fallback).map(|argument| argument.hide(hidden)))
    })
}

fn arguments(setting: &Description, fallback: Fallback) -> impl Iterator<Item = Arg> {
    let value = argument(setting.name, "VALUE", help(setting, fallback));
    let file = setting
        .file_flag()
        .zip(setting.file_variable())
        .map(|(flag, variable)| {
            let help = format!(
                "File with the value of --{} [variable: {variable}]",
                setting.name
            );
            argument(flag, "FILE", help)
        });
    std::iter::once(value).chain(file)
}

fn argument(name: &'static str, value_name: &'static str, help: String) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value_name)
        .value_parser(value_parser!(OsString))
        .help(help)
        .help_heading("Settings")
}

fn help(setting: &Description, fallback: Fallback) -> String {
    let meaning = setting.help().replace('`', "");
    let variable = setting.variable();
    match fallback {
        Fallback::Value(value) => format!("{meaning} [variable: {variable}] [default: {value}]"),
        Fallback::Unset => format!("{meaning} [variable: {variable}]"),
        Fallback::Required => format!("{meaning} [variable: {variable}] [required]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_every_flag_with_variable_and_default() {
        let help = flags(Command::new("serve"))
            .term_width(10_000)
            .render_help()
            .to_string();
        for setting in SETTINGS {
            let line = help
                .lines()
                .find(|line| line.contains(&format!("--{} ", setting.name)))
                .unwrap_or_else(|| panic!("no --{}", setting.name));
            assert!(line.contains(&setting.variable()), "{line}");
            if let Fallback::Value(value) = setting.fallback {
                assert!(line.contains(&format!("[default: {value}]")), "{line}");
            }
            if let Some(variable) = setting.file_variable() {
                assert!(help.contains(&variable), "no {variable}");
            }
        }
    }

    #[test]
    fn the_demo_does_not_offer_what_it_refuses() {
        let help = demo_flags(Command::new("demo")).render_help().to_string();
        for setting in SETTINGS {
            let offered = help.contains(&format!("--{} ", setting.name));
            let wanted = setting.demo != DemoPolicy::MakesItsOwn;
            assert_eq!(offered, wanted, "--{}", setting.name);
        }
    }

    #[test]
    fn the_demo_shows_its_own_default_of_the_log() {
        let demo = demo_flags(Command::new("demo"));
        let help = demo.term_width(10_000).render_help().to_string();
        let mut lines = help.lines();
        let log = lines.find(|line| line.contains("--log ")).unwrap();
        assert!(
            log.ends_with("[variable: WXQR_LOG] [default: warn]"),
            "{log}"
        );
    }

    #[test]
    fn every_secret_and_nothing_else_has_a_file() {
        for setting in SETTINGS {
            let want = setting
                .is_secret()
                .then(|| format!("{}_FILE", setting.variable()));
            assert_eq!(setting.file_variable(), want);
        }
    }
}
