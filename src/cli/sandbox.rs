//! `wxqr sandbox`: only the imitation of WeChat, for any program that talks to WeChat.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command, value_parser};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use wxqr::clock::SystemClock;
use wxqr::config::{PublicUrl, local_url};
use wxqr::listen::{self, Limits};
use wxqr::sandbox::{Credentials, Options, Sandbox};

use super::demo::random_text;
use super::{introduce, stop_signal};

pub(super) fn command() -> Command {
    Command::new("sandbox")
        .about(
            "Only the sandbox: an imitation of WeChat's API that any WeChat SDK can be pointed at",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS")
                .default_value("127.0.0.1:8081")
                .value_parser(value_parser!(SocketAddr))
                .help("Address to listen on"),
        )
        .arg(
            Arg::new("public-url")
                .long("public-url")
                .value_name("URL")
                .value_parser(|text: &str| {
                    text.parse::<PublicUrl>()
                        .map_err(|refusal| refusal.to_string())
                })
                .help("Base of the addresses inside the codes, if it is not that of --listen"),
        )
        .arg(
            Arg::new("account")
                .long("account")
                .value_name("ID:SECRET")
                .value_parser(account)
                .help("The account that exists; made up and printed if not given"),
        )
}

fn account(text: &str) -> Result<Credentials, String> {
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(Credentials {
            app_id: id.to_owned(),
            app_secret: SecretString::from(secret),
        }),
        _ => Err("accepted: ID:SECRET".to_owned()),
    }
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let address: SocketAddr = *matches.get_one("listen").expect("it has a default");
    let given: Option<&Credentials> = matches.get_one("account");
    let account = given.cloned().unwrap_or_else(|| Credentials {
        app_id: "wxsandbox".to_owned(),
        app_secret: SecretString::from(random_text()),
    });
    let stop = stop_signal()?;
    let listener = listen::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let base = local_url(listener.local_addr()?);
    let public: Option<&PublicUrl> = matches.get_one("public-url");
    let sandbox = Sandbox::new(Options {
        base: public
            .map_or(base.as_str(), PublicUrl::as_str)
            .trim_end_matches('/')
            .to_owned(),
        accounts: vec![account.clone()],
        clock: Arc::new(SystemClock),
    });
    introduce(format_args!("This is a SANDBOX of WeChat's API at {base}"));
    if given.is_none() {
        introduce(format_args!(
            "AppID:     {}\nAppSecret: {}",
            account.app_id,
            account.app_secret.expose_secret()
        ));
    }
    let stopped = CancellationToken::new();
    let limits = Limits::default().within_open_files();
    let server = listen::serve(listener, sandbox.router(), limits, stopped.clone());
    tokio::join!(server, async {
        stop.await;
        stopped.cancel();
    });
    Ok(())
}
