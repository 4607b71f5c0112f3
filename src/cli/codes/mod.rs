//! `wxqr codes`: many channels from a file, and their list as a file, through a running service.
//!
//! The key comes from the environment, because arguments are visible to other users of the machine.

mod bar;
mod export;
mod failure;
mod file_type;
mod import;
mod printable;
mod report;
mod retry;
mod rows;
mod service;

use std::env::VarError;

use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::SecretString;
use url::Url;
use wxqr::config::{ExtraCa, PublicUrl, refuse_quotes};
use wxqr::outbound;

use self::service::Service;
use super::usage::Usage;

/// The variable of the key.
const KEY: &str = "WXQR_KEY";

/// The variable of the certificates to trust besides the built-in roots, as of the service.
const EXTRA_CA_FILE: &str = "WXQR_EXTRA_CA_FILE";

pub(super) fn command() -> Command {
    Command::new("codes")
        .about("Creates channels from a file, or writes their list to a file, through a running service")
        .after_help("The key is read from WXQR_KEY, and certificates to trust besides the usual ones from the PEM file that WXQR_EXTRA_CA_FILE names. Exit codes: 0 ok, 1 failed in part or as a whole, 2 wrong usage.")
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
    let parsed = Url::parse(url.as_str()).expect("a public URL is a URL");
    if outbound::is_exposed(&parsed) && !matches.get_flag("allow-http") {
        return Err(Usage::new(
            "--url must begin with https:// for another machine, else the key could be read on its way; --allow-http sends it all the same",
        )
        .into());
    }
    let key = std::env::var(KEY).unwrap_or_default();
    if key.trim().is_empty() {
        return Err(Usage::new(format!("{KEY} must hold an API key")).into());
    }
    refuse_quotes(&key).map_err(|error| Usage::new(format!("{KEY} {error}")))?;
    let extra_ca = extra_ca()?;
    let extra_ca = extra_ca.as_ref().map(ExtraCa::as_pem);
    Service::new(url.as_str(), SecretString::from(key.trim()), extra_ca)
}

fn extra_ca() -> anyhow::Result<Option<ExtraCa>> {
    let path = match std::env::var(EXTRA_CA_FILE) {
        Ok(path) if !path.is_empty() => path,
        Err(VarError::NotUnicode(_)) => {
            return Err(Usage::new(format!("{EXTRA_CA_FILE} is not Unicode")).into());
        }
        _ => return Ok(None),
    };
    let read = ExtraCa::read(&path);
    Ok(Some(read.map_err(|error| {
        Usage::new(format!("{EXTRA_CA_FILE} {error}"))
    })?))
}
