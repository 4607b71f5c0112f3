//! `wxqr config`: shows the effective settings.

use clap::ArgMatches;
use wxqr::config::Config;

use super::output::print;

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (_, effective) = Config::load(matches, std::env::vars_os())?;
    Ok(print(effective)?)
}
