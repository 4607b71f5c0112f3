//! Subcommands, one file each, and their common parts.
//!
//! Data goes to standard output, messages to standard error.

mod backup;
mod codes;
mod config;
mod copy;
mod demo;
mod doctor;
mod healthcheck;
mod key;
mod output;
mod sandbox;
mod serve;
mod sign;
mod stop;
mod usage;

use std::process::ExitCode;

use clap::Command;
use wxqr::app::StartError;
use wxqr::config::{ConfigErrors, demo_flags, flags};
use wxqr::db::{BackupError, CopyError, OpenError};
use wxqr::telemetry::print_message;

use self::usage::Usage;

/// Reports the error of a command, and returns the exit code: 2 for wrong usage, 78 for wrong
/// settings, 1 for anything else.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(mistakes) = error.downcast_ref::<ConfigErrors>() {
        print_message(mistakes);
        return ExitCode::from(ConfigErrors::EXIT_CODE);
    }
    if error.is::<Usage>() {
        print_message(format_args!("wxqr: {error:#}"));
        return ExitCode::from(Usage::EXIT_CODE);
    }
    let Some(refusal) = refused_database(error) else {
        print_message(format_args!("wxqr: {error:#}"));
        return if is_outbound_address(error) {
            ExitCode::from(ConfigErrors::EXIT_CODE)
        } else {
            ExitCode::FAILURE
        };
    };
    print_message(format_args!("wxqr: {error:#}; {}", refusal.action()));
    if refusal.is_configuration() {
        ExitCode::from(ConfigErrors::EXIT_CODE)
    } else {
        ExitCode::FAILURE
    }
}

/// Whether `WXQR_OUTBOUND_ADDRESS` is another machine's address: a setting, found by its use.
fn is_outbound_address(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(StartError::OutboundAddress { .. })
    )
}

/// The refusal of a database, by which command ever.
fn refused_database(error: &anyhow::Error) -> Option<&OpenError> {
    if let Some(StartError::Database(refusal)) = error.downcast_ref() {
        return Some(refusal);
    }
    if let Some(BackupError::Source(refusal)) = error.downcast_ref() {
        return Some(refusal);
    }
    error.downcast_ref::<CopyError>()?.refusal()
}

/// Runs the selected subcommand. Wrong usage exits with 2.
pub(crate) async fn run() -> anyhow::Result<()> {
    let matches = command().get_matches();
    match matches.subcommand() {
        None => serve::run(&matches).await,
        Some(("serve", matches)) => serve::run(matches).await,
        Some(("demo", matches)) => demo::run(matches).await,
        Some(("sandbox", matches)) => sandbox::run(matches).await,
        Some(("doctor", matches)) => doctor::run(matches).await,
        Some(("config", matches)) => config::run(matches),
        Some(("backup", matches)) => backup::run(matches).await,
        Some(("copy", matches)) => copy::run(matches).await,
        Some(("key", matches)) => key::run(matches),
        Some(("sign", matches)) => sign::run(matches),
        Some(("codes", matches)) => codes::run(matches).await,
        Some(("healthcheck", matches)) => healthcheck::run(matches).await,
        Some((other, _)) => unreachable!("clap knows no command {other}"),
    }
}

fn command() -> Command {
    let root = Command::new("wxqr")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Parametric QR codes of a WeChat Official Account, as an HTTP service")
        .after_help("Exit codes: 0 ok, 1 failed, 2 wrong usage, 78 wrong settings.")
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true);
    flags(root)
        .subcommand(flags(
            Command::new("serve").about("The service, against the real WeChat (the default)"),
        ))
        .subcommand(demo_flags(Command::new("demo").about(
            "The service and a sandbox of WeChat in one process: no account, no file",
        )))
        .subcommand(sandbox::command())
        .subcommand(flags(Command::new("doctor").about(
            "Checks a set-up line by line against the real WeChat and says what to do; creates one code of 60 s",
        )))
        .subcommand(flags(Command::new("config").about(
            "Shows the settings in force and where each comes from; passwords and the secrets of keys are masked",
        )))
        .subcommand(backup::command())
        .subcommand(copy::command())
        .subcommand(key::command())
        .subcommand(sign::command())
        .subcommand(codes::command())
        .subcommand(flags(Command::new("healthcheck").about(
            "Exits with 0 if the service on this machine answers /healthz",
        )))
}
