//! `wxqr key`: generates an API key.

use clap::{Arg, ArgMatches, Command};
use wxqr::access::{KeyName, KeyProblem, NewKey, Scopes};
use wxqr::telemetry::print_message;

use super::output::print;

pub(super) fn command() -> Command {
    Command::new("key")
        .about("Makes an API key; prints it, and its entry for WXQR_API_KEYS, which has its hash only")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .value_parser(name)
                .help("Who gets it, 1 to 32 of A-Za-z0-9_-; shown in the log, and with the permanent codes that it creates"),
        )
        .arg(
            Arg::new("scope")
                .long("scope")
                .value_name("SCOPES")
                .required(true)
                .value_parser(scopes)
                .help("What it may do: mint, permanent, stats, people, bind or admin (= all); several as in stats+mint"),
        )
}

fn name(text: &str) -> Result<KeyName, &'static str> {
    text.parse().map_err(|problem| match problem {
        KeyProblem::ReservedName => "accepted: another name than the word before a hash",
        _ => "accepted: 1 to 32 of A-Za-z0-9_-",
    })
}

fn scopes(text: &str) -> Result<Scopes, &'static str> {
    text.parse().map_err(
        |_| "accepted: mint, permanent, stats, people, bind, admin; several as in stats+mint",
    )
}

/// Runs `wxqr key`. It prints two lines of data, the secret and the entry; what they are is a
/// message, so that a script can read both.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let name = matches.get_one("name").expect("it is required");
    let scopes = matches.get_one("scope").expect("it is required");
    let NewKey { secret, entry } = NewKey::generate(name, scopes);
    print_message(format_args!(
        "The key of {name}, for whoever uses it. It is shown this once:"
    ));
    print(secret)?;
    print_message("Its entry for WXQR_API_KEYS, after a comma if there are others:");
    Ok(print(entry)?)
}
