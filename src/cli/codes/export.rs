//! `wxqr codes export`: writes the list of codes to a file.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};
use reqwest::Response;
use tempfile::NamedTempFile;
use wxqr::telemetry::print_message;

use super::super::usage::Usage;
use super::bar;
use super::file_type::{CSV, FileType, XLSX, ZIP};
use super::retry::Retrier;
use super::service::{Service, piece};

/// The files that the service has.
const TYPES: [FileType; 3] = [CSV, XLSX, ZIP];

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Writes the list of codes to a file: as CSV, as a workbook, or as a ZIP archive of their pictures")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file to write; its name ends with .csv, .xlsx or .zip. It is replaced once all is there"),
        )
        .arg(
            Arg::new("query")
                .long("query")
                .value_name("QUERY")
                .default_value("")
                .help("Parameters of the list and of the pictures, as in 'group=Shanghai&format=svg'"),
        )
}

pub(super) async fn run(matches: &ArgMatches, service: &Service) -> anyhow::Result<()> {
    let path: &PathBuf = matches.get_one("file").expect("it is required");
    let query: &String = matches.get_one("query").expect("it has a default");
    let file_type = FileType::of(path, &TYPES)
        .ok_or_else(|| Usage::new("the file's name must end with .csv, .xlsx or .zip"))?;
    let mut partial = beside(path)?;
    let response = Retrier::new()
        .call(|| service.codes(file_type, query))
        .await?;
    let bytes = receive(response, &mut partial).await?;
    partial
        .persist(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    print_message(format_args!("{}: {bytes} bytes", path.display()));
    Ok(())
}

/// A file that takes the place of the other once it is whole. Dropping it removes it.
fn beside(path: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".wxqr-")
        // Less what the user's mask takes away, as for any new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("{} cannot be written", folder.display()))
}

async fn receive(mut response: Response, file: &mut NamedTempFile) -> anyhow::Result<u64> {
    let (bar, mut bytes) = (bar::of_bytes(), 0);
    while let Some(piece) = piece(&mut response).await? {
        file.write_all(&piece)
            .context("the file cannot be written")?;
        bytes += piece.len() as u64;
        bar.set_position(bytes);
    }
    bar.finish_and_clear();
    file.flush().context("the file cannot be written")?;
    Ok(bytes)
}
