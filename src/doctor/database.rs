//! Checks of the database: its schema, the ledger, and the clock difference to this machine.

use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::finding::{CLOCK, Finding, Issue, Report, STORE};
use crate::app::{self, Stores};
use crate::clock::Clock;
use crate::codes::{CLOCK_TOLERANCE, Stock};
use crate::config::Config;
use crate::db::{ClockDifference, Damage, Database, OpenError, SchemaState};
use crate::telemetry::Causes;

/// Checks the database, and returns it if it is ready to use.
pub(super) async fn check(
    config: &Config,
    clock: &Arc<dyn Clock>,
    report: Report<'_>,
) -> Option<Stores> {
    let store = check_schema(config, clock, report).await;
    for exposed in Database::exposed_files(&config.database_url) {
        let issue = Issue::new(exposed.to_string(), exposed.action());
        report(Finding::warned(STORE, issue));
    }
    store
}

/// Checks the schema without creating or migrating it.
async fn check_schema(
    config: &Config,
    clock: &Arc<dyn Clock>,
    report: Report<'_>,
) -> Option<Stores> {
    let note = match Database::schema_state(&config.database_url).await {
        Ok(SchemaState::Current) => return check_ready_database(config, clock, report).await,
        Ok(SchemaState::Missing) => "does not exist yet: `wxqr serve` creates it",
        Ok(SchemaState::Outdated) => "has an older schema: `wxqr serve` migrates it",
        Err(error) => {
            report(Finding::failed(STORE, opening_issue(&error)));
            return None;
        }
    };
    let database = Database::system(&config.database_url);
    report(Finding::fine(STORE, format!("{database}, {note}")));
    None
}

async fn check_ready_database(
    config: &Config,
    clock: &Arc<dyn Clock>,
    report: Report<'_>,
) -> Option<Stores> {
    let app_id = config.account.app_id.as_str();
    let upstream = app::upstream(config);
    let opened = Stores::open_now(
        &config.database_url,
        app_id,
        &upstream,
        Arc::clone(clock),
        config.scans.person_key.as_ref(),
    );
    let store = match opened.await {
        Ok(store) => store,
        Err(error) => {
            report(Finding::failed(STORE, opening_issue(&error)));
            return None;
        }
    };
    let stock = match store.codes.stock().await {
        Ok(stock) => stock,
        Err(error) => {
            let cause = Causes(&error).to_string();
            let issue = Issue::new(cause, "check the log of the database");
            report(Finding::failed(STORE, issue));
            return None;
        }
    };
    let limit = config.codes.permanent_limit;
    let detail = format!(
        "{}, permanent codes in the ledger: {} of {limit}",
        store.database, stock.used
    );
    report(match damage(&store.database).await {
        Some(damage) => Finding::failed(STORE, damage),
        None => Finding::fine(STORE, detail),
    });
    if let Some(warning) = stock_warning(stock, limit) {
        report(warning);
    }
    if let Some(difference) = store.database.clock_difference() {
        report(clock_finding(difference));
    }
    Some(store)
}

/// A warning if nearly all permanent codes are used.
fn stock_warning(stock: Stock, limit: u64) -> Option<Finding> {
    let is_low = stock.percent_of(limit) >= Stock::WARN_FROM_PERCENT;
    let cause = format!(
        "{} of {limit} permanent codes are used, and none can be deleted",
        stock.used
    );
    let remedy = "use temporary codes where a month is enough, and plan for a second account";
    is_low.then(|| Finding::warned(STORE, Issue::new(cause, remedy)))
}

/// Reads the whole file, however long that takes.
async fn damage(database: &Database) -> Option<Issue> {
    match database.check_integrity(&CancellationToken::new()).await {
        Ok(damage) => Some(Issue::new(damage?.to_string(), Damage::ACTION)),
        Err(error) => {
            let action = "check that this user may read the file, and that its disk is well";
            Some(Issue::new(Causes(&error).to_string(), action))
        }
    }
}

fn opening_issue(error: &OpenError) -> Issue {
    Issue::new(Causes(error).to_string(), error.action())
}

fn clock_finding(difference: ClockDifference) -> Finding {
    if difference.exceeds(CLOCK_TOLERANCE) {
        let issue = Issue::new(difference.to_string(), ClockDifference::ACTION);
        return Finding::failed(CLOCK, issue);
    }
    Finding::fine(CLOCK, difference.to_string())
}

/// Opens an in-memory database, for checks without the real one: a stable token is not stored.
pub(super) async fn open_in_memory(config: &Config, clock: &Arc<dyn Clock>) -> Stores {
    let url = SecretString::from("sqlite::memory:");
    let app_id = config.account.app_id.as_str();
    Stores::open_now(
        &url,
        app_id,
        &app::upstream(config),
        Arc::clone(clock),
        None,
    )
    .await
    .expect("memory can be opened")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn clock_skew_is_a_failure_with_a_remedy() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (theirs, is_failure, line) in [
            (
                100,
                false,
                "ok    clock: this machine's is 0.000 s ahead of the database's",
            ),
            (
                112,
                true,
                "FAIL  clock: this machine's is 12.000 s behind the database's; synchronise the clocks of \
                 this machine and of the database's (NTP): replicas compare their times",
            ),
        ] {
            let difference = ClockDifference::between(at(100), at(100), at(theirs));
            let finding = clock_finding(difference);
            assert_eq!(finding.to_string(), line);
            assert_eq!(finding.is_failure(), is_failure);
        }
    }
}
