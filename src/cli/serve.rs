//! `wxqr serve`: runs the service against the real WeChat.

use std::pin::pin;

use clap::ArgMatches;
use wxqr::app::App;
use wxqr::config::{Config, Limitation};
use wxqr::db::Database;
use wxqr::telemetry;

use super::stop::stop_signal;

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (config, _) = Config::load(matches, std::env::vars_os())?;
    telemetry::start_logging(&config.log);
    Database::keep_new_files_private();
    let mut stop = pin!(stop_signal()?);
    let app = tokio::select! {
        app = App::bind(&config) => app?,
        // Stops while it waits for the database.
        () = &mut stop => return Ok(()),
    };
    tracing::info!(address = %app.local_addr(), metrics = app.metrics_addr().map(tracing::field::display), "listening");
    if config.public_url.is_none() {
        tracing::info!("WXQR_PUBLIC_URL is not set: links in answers are relative");
    }
    if config.scans.callback.is_some() && config.scans.person_key.is_none() {
        tracing::info!(
            "WXQR_PERSON_KEY is not set: the key of followers' pseudonyms is in the database and its backups; docs/privacy.md says how to keep it apart"
        );
    }
    for limitation in config.limitations() {
        let Limitation {
            subject,
            costs,
            action,
        } = limitation;
        tracing::warn!(subject, action, "{costs}");
    }
    app.serve(stop).await;
    Ok(())
}
