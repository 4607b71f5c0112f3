//! `wxqr healthcheck`: health check for a container image without shell.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ArgMatches;
use wxqr::config::{Config, local_url};
use wxqr::outbound;

/// Timeout, shorter than the usual interval of container engines.
const DEADLINE: Duration = Duration::from_secs(3);

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let listen = Config::load_listen(matches, std::env::vars_os())?;
    let url = local_url(listen)
        .join("healthz")
        .expect("a plain path joins any base");
    let healthy = outbound::is_healthy(&url, DEADLINE)
        .await
        .with_context(|| format!("{url} cannot be reached"))?;
    if healthy {
        Ok(())
    } else {
        Err(anyhow!("{url} reports that it is not healthy"))
    }
}
