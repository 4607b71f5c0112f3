//! `wxqr codes`: many channels from a file, and their list as a file, through a running service.
//!
//! The key comes from the environment, because arguments are visible to other users of the machine.

mod bar;
mod export;
mod failure;
mod import;
mod pace;
mod printable;
mod report;
mod rows;
mod service;

use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::SecretString;
use wxqr::config::PublicUrl;

use self::service::Service;
use super::Usage;

/// The variable of the key.
const KEY: &str = "WXQR_KEY";

pub(super) fn command() -> Command {
    Command::new("codes")
        .about("Creates channels from a file, or writes their list to a file, through a running service")
        .after_help("The key is read from WXQR_KEY. Exit codes: 0 ok, 1 failed in part or as a whole, 2 wrong usage.")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(with_service(import::command()))
        .subcommand(with_service(export::command()))
}

fn with_service(command: Command) -> Command {
    let url = Arg::new("url")
        .long("url")
        .value_name("URL")
        .required(true)
        .help("The service, such as https://qr.example.com or http://127.0.0.1:8080");
    let allow_http = Arg::new("allow-http")
        .long("allow-http")
        .action(ArgAction::SetTrue)
        .help("Sends the key to another machine without TLS, where others may read it");
    command.arg(url).arg(allow_http)
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("import", matches)) => import::run(matches, &service(matches)?).await,
        Some(("export", matches)) => export::run(matches, &service(matches)?).await,
        other => unreachable!("clap knows no such command: {other:?}"),
    }
}

fn service(matches: &ArgMatches) -> anyhow::Result<Service> {
    let url: &String = matches.get_one("url").expect("it is required");
    let url: PublicUrl = url
        .parse()
        .map_err(|error| Usage::new(format!("--url {error}")))?;
    if !is_private(url.as_str()) && !matches.get_flag("allow-http") {
        return Err(Usage::new(
            "--url must begin with https:// for another machine, else the key could be read on its way; --allow-http sends it all the same",
        )
        .into());
    }
    let key = std::env::var(KEY).unwrap_or_default();
    if key.trim().is_empty() {
        return Err(Usage::new(format!("{KEY} must hold an API key")).into());
    }
    Service::new(url.as_str(), SecretString::from(key.trim()))
}

/// Whether the API key is safe on the network: the URL is https, or of this machine.
fn is_private(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return true;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_over_loopback_or_tls_only() {
        for (url, want) in [
            ("https://qr.example.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/wx", true),
            ("http://localhost", true),
            ("http://qr.example.com", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com:80", false),
            ("http://10.0.0.7:8080", false),
        ] {
            assert_eq!(is_private(url), want, "{url}");
        }
    }
}
