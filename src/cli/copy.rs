//! `wxqr copy`: copies a database to another one, of the same engine or the other one.

use std::pin::pin;

use anyhow::anyhow;
use clap::{Arg, ArgMatches, Command};
use secrecy::SecretString;
use wxqr::config::{database_url, database_url_in};
use wxqr::db::{CopiedTable, Database};
use wxqr::telemetry::print_message;
use wxqr::text::counted;

use super::output::print;
use super::stop::stop_signal;
use super::usage::Usage;

pub(super) fn command() -> Command {
    let side = |name: &'static str, file: &'static str, help: &'static str| {
        [
            Arg::new(name).long(name).value_name("URL").help(help),
            Arg::new(file)
                .long(file)
                .value_name("FILE")
                .conflicts_with(name)
                .help(format!(
                    "File with the value of --{name}, which may hold a password"
                )),
        ]
    };
    Command::new("copy")
        .about("Copies all rows of a database to an empty one, SQLite to PostgreSQL or back, and compares them")
        .args(side(
            "from",
            "from-file",
            "What is copied: sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE; no service may use it",
        ))
        .args(side(
            "to",
            "to-file",
            "What it becomes: a file that does not exist, or a database without tables",
        ))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (from, to) = (
        url(matches, "from", "from-file")?,
        url(matches, "to", "to-file")?,
    );
    let stop = pin!(stop_signal()?);
    let progress = |table: &CopiedTable| {
        let rows = table.digest.rows();
        if rows > 0 {
            let rows = counted(rows, "row", "rows");
            print_message(format_args!("wxqr: {}: {rows}", table.name));
        }
    };
    let copied = tokio::select! {
        copied = Database::copy(&from, &to, progress) => copied?,
        () = stop => return Err(anyhow!("stopped: --to is left empty")),
    };
    for CopiedTable { name, digest } in &copied {
        print(format_args!("{name} {} {digest}", digest.rows()))?;
    }
    print_message("wxqr: both databases hold the same rows");
    Ok(())
}

/// The address of one side, from its flag or from a file.
fn url(matches: &ArgMatches, name: &str, file: &str) -> Result<SecretString, Usage> {
    let given = |name| matches.get_one::<String>(name);
    let (flag, url) = match (given(name), given(file)) {
        (Some(text), _) => (name, database_url(text)),
        (None, Some(path)) => (file, database_url_in(path)),
        (None, None) => return Err(Usage::new(format!("--{name} or --{file} is required"))),
    };
    url.map_err(|invalid| Usage::new(format!("--{flag} {invalid}")))
}
