//! `wxqr demo`: service and sandbox in one process, on one listener.

use std::net::SocketAddr;

use clap::ArgMatches;
use secrecy::SecretString;
use wxqr::access::Keyring;
use wxqr::app::App;
use wxqr::config::{Account, Config, DemoAccount};
use wxqr::telemetry;
use wxqr::text::random_token;

use super::output::introduce;
use super::stop::stop_signal;

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let key = random_token();
    let config = Config::load_demo(matches, std::env::vars_os(), made_up(&key))?;
    telemetry::start_logging(&config.log);
    let stop = stop_signal()?;
    let (app, _sandbox) = App::bind_demo(config, &key).await?;
    introduce(introduction(app.local_addr(), &key));
    app.serve(stop).await;
    Ok(())
}

/// An account that exists in the sandbox only, with one key for all scopes.
fn made_up(key: &str) -> DemoAccount {
    let keys: Keyring = format!("demo:{key}:admin")
        .parse()
        .expect("a random key is a valid one");
    DemoAccount {
        account: Account {
            app_id: "wxdemo".parse().expect("letters are a valid AppID"),
            app_secret: SecretString::from(random_token()),
        },
        keys,
    }
}

fn introduction(address: SocketAddr, key: &str) -> String {
    let base = wxqr::config::local_url(address);
    format!(
        "This is a SANDBOX: WeChat is imitated, no account is needed, nothing is kept.\n\
         \n\
         Page:    {base}\n\
         Try:     curl '{base}qrcode.json?scene_id=123'\n\
         API key: {key} (all scopes; as \"Authorization: Bearer KEY\")\n\
         \n\
         export KEY={key}\n\
         \n\
         Stop it with Ctrl-C."
    )
}
