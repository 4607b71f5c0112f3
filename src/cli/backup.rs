//! `wxqr backup`: copies the SQLite database while the service uses it.

use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::anyhow;
use clap::{Arg, ArgMatches, Command, value_parser};
use wxqr::config::{Config, flags_of};
use wxqr::db::Database;
use wxqr::telemetry::print_message;

use super::stop::stop_signal;

pub(super) fn command() -> Command {
    let command = Command::new("backup")
        .about("Copies the SQLite database to a new file, while the service uses it")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The copy, for this user only (mode 0600); it must not exist yet"),
        );
    flags_of(command, &["database-url"])
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let file: &PathBuf = matches.get_one("file").expect("it is required");
    let url = Config::load_database_url(matches, std::env::vars_os())?;
    let stop = pin!(stop_signal()?);
    let size = tokio::select! {
        size = Database::back_up(&url, file) => size?,
        () = stop => return Err(anyhow!("stopped: there is no copy")),
    };
    print_message(format_args!("wxqr: {}", done(file, size)));
    Ok(())
}

fn done(file: &Path, size: u64) -> String {
    let kilobytes = size.div_ceil(1024);
    format!(
        "{} is a whole copy, checked: {kilobytes} KiB",
        file.display()
    )
}
