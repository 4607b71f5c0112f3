//! `wxqr doctor`: runs the diagnostic checks.

use anyhow::anyhow;
use clap::ArgMatches;
use wxqr::access::Scope;
use wxqr::config::Config;
use wxqr::doctor::{self, Finding};

use super::output::print;

/// Runs `wxqr doctor`. Invalid settings are findings like others, so the exit code is 1, not 78.
pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (mut failed, mut printed) = (0, Ok(()));
    let mut report = |finding: Finding| {
        failed += usize::from(finding.is_failure());
        if printed.is_ok() {
            printed = print(finding);
        }
    };
    match Config::load(matches, std::env::vars_os()) {
        Ok((config, _)) => {
            let key = Config::find_key(matches, std::env::vars_os(), Scope::Stats);
            doctor::examine(&config, key.as_ref(), &mut report).await;
        }
        Err(errors) => doctor::report_config_errors(&errors, &mut report),
    }
    printed?;
    match failed {
        0 => Ok(()),
        1 => Err(anyhow!("1 check failed")),
        _ => Err(anyhow!("{failed} checks failed")),
    }
}
