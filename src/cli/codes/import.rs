//! `wxqr codes import`: creates the channels of a file.
//!
//! A code that exists is created no second time, so the same file may be sent again.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::sync::CancellationToken;
use wxqr::telemetry::print_message;
use wxqr::text::counted;

use super::super::usage::Usage;
use super::bar;
use super::failure::CallFailure;
use super::file_type::{CSV, FileType, TSV, TXT, XLSX};
use super::printable::printable;
use super::report::{Failed, print_failed, print_plan};
use super::retry::Retrier;
use super::rows::{Plan, Row, RowStatus};
use super::service::Service;

/// Calls at once. Chosen: the service makes more at once for all its callers together.
const AT_ONCE: usize = 4;

/// The files that the service reads.
const TYPES: [FileType; 4] = [CSV, TSV, TXT, XLSX];

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Creates the channels of a file, and prints a line for each row that failed: line, name, reason")
        .after_help("A row that has a code already costs nothing, so the same file may be imported again, also after an interruption. \
            Permanent codes can never be deleted: --dry-run says how many would be created.")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("CSV, XLSX, or a text with one name a line (.csv, .tsv, .xlsx, .txt); columns, in any order: label, group, scene_str, scene_id, permanent, expire_seconds, reply, reply_news; or 名称, 分组, 场景值, 数字场景值, 类型, 有效期, 回复, 图文回复"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Creates nothing; prints a line for each row: line, new|known|changed|invalid, name, reason"),
        )
}

pub(super) async fn run(matches: &ArgMatches, service: &Service) -> anyhow::Result<()> {
    let path: &PathBuf = matches.get_one("file").expect("it is required");
    let file_type = FileType::of(path, &TYPES)
        .ok_or_else(|| Usage::new("the file's name must end with .csv, .tsv, .txt or .xlsx"))?;
    let file = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let retrier = Retrier::new();
    let plan = retrier
        .call(|| service.plan(file.clone(), file_type.media_type))
        .await?;
    print_message(summary(&plan));
    if matches.get_flag("dry-run") {
        print_plan(&plan.rows)?;
        return outcome(count(&plan.rows, RowStatus::Invalid));
    }
    if plan.new_permanent > plan.permanent_left {
        return Err(anyhow!(
            "the account has fewer permanent codes left than the file needs; nothing was created"
        ));
    }
    let failed = make(service, &retrier, plan.rows).await;
    let failures = failed.len();
    print_failed(failed)?;
    outcome(failures)
}

/// A number of rows, with the word.
fn rows(number: usize) -> String {
    counted(number as u64, "row", "rows")
}

fn count(rows: &[Row], status: RowStatus) -> usize {
    rows.iter().filter(|row| row.status == status).count()
}

fn summary(plan: &Plan) -> String {
    let of = |status| count(&plan.rows, status);
    let mut summary = format!(
        "{}: {} new, {} known, {} changed, {} invalid. Permanent codes: {} new, which stay taken for ever, of {} left.",
        rows(plan.rows.len()),
        of(RowStatus::New),
        of(RowStatus::Known),
        of(RowStatus::Changed),
        of(RowStatus::Invalid),
        plan.new_permanent,
        plan.permanent_left,
    );
    if !plan.unknown_columns.is_empty() {
        summary.push_str(" Columns that are not read: ");
        summary.push_str(&printable(&plan.unknown_columns.join(", ")));
        summary.push('.');
    }
    summary
}

/// Makes what is missing, and returns what failed.
async fn make(service: &Service, retrier: &Retrier, rows: Vec<Row>) -> Vec<Failed> {
    let (invalid, rows): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .filter(|row| row.status != RowStatus::Known)
        .partition(|row| row.status == RowStatus::Invalid);
    let mut failed: Vec<_> = invalid.into_iter().map(Failed::invalid).collect();
    let (bar, stop) = (bar::of_steps(rows.len()), CancellationToken::new());
    let makings = rows.into_iter().map(|row| {
        let stop = &stop;
        async move {
            if stop.is_cancelled() {
                return Err((row, CallFailure::not_tried()));
            }
            let made = retrier.call(|| service.make(&row.request)).await;
            made.map_err(|failure| (row, failure))
        }
    });
    let mut made = stream::iter(makings).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some(outcome) = made.next().await {
        bar.inc(1);
        match outcome {
            Ok(()) => done += 1,
            Err((row, failure)) => {
                if failure.stops_all {
                    stop.cancel();
                }
                failed.push(Failed::of(row, &failure));
            }
        }
    }
    bar.finish_and_clear();
    print_message(format_args!("{done} created or changed."));
    failed
}

fn outcome(failures: usize) -> anyhow::Result<()> {
    match failures {
        0 => Ok(()),
        _ => Err(anyhow!("{} failed", rows(failures))),
    }
}
