//! `wxqr sandbox`: only the imitation of WeChat, for any program that talks to WeChat.

mod ca_file;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use http_listener::TlsConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use wechat_sandbox::{
    Callback, CallbackToken, Clock, Credentials, DataFormat, EncodingAesKey, Mode, Options,
    Sandbox, TlsIdentity, WECHAT_HOSTS,
};
use wxqr::app::sandbox_limits;
use wxqr::clock::{Clock as _, SystemClock};
use wxqr::config::{self, Config, PublicUrl, flags_of, local_url};
use wxqr::telemetry;
use wxqr::text::random_token;

use super::output::introduce;
use super::stop::stop_signal;

pub(super) fn command() -> Command {
    let command = Command::new("sandbox")
        .about(
            "The sandbox alone: an imitation of WeChat's API for any WeChat SDK",
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
                .help("AppID and AppSecret of the account; generated and printed if not given"),
        )
        .arg(
            Arg::new("tls")
                .long("tls")
                .action(ArgAction::SetTrue)
                .help(
                    "Serves HTTPS, with a certificate for WeChat's hosts (api.weixin.qq.com and others), localhost and --listen",
                ),
        )
        .arg(
            Arg::new("ca-out")
                .long("ca-out")
                .value_name("FILE")
                .requires("tls")
                .value_parser(ca_path)
                .help(
                    "Writes the CA certificate that clients of --tls have to trust; generated at each start",
                ),
        )
        .args(callback_arguments());
    flags_of(command, &["log", "log-format"])
}

/// The arguments for what the account's owner would set in WeChat's console.
fn callback_arguments() -> [Arg; 5] {
    let argument = |name: &'static str, value: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .requires("callback-url")
    };
    [
        Arg::new("callback-url")
            .long("callback-url")
            .visible_alias("callback")
            .value_name("URL")
            .value_parser(callback_url)
            .help("URL of the callback to which scans, follows and unfollows are pushed; none if not given"),
        argument("callback-token", "TOKEN")
            .value_parser(value_parser!(CallbackToken))
            .help("Token that signs pushes; generated and printed if not given"),
        argument("encoding-aes-key", "KEY")
            .value_parser(value_parser!(EncodingAesKey))
            .help(
                "EncodingAESKey that encrypts pushes; generated and printed if needed and not given",
            ),
        argument("callback-mode", "MODE")
            .value_parser(["plain", "compatible", "safe"])
            .help("Whether pushes are encrypted; by default safe with a key, plain without"),
        argument("callback-format", "FORMAT")
            .value_parser(["xml", "json"])
            .default_value("xml")
            .help("Format of pushes"),
    ]
}

fn ca_path(text: &str) -> Result<PathBuf, String> {
    if text == "-" {
        return Err("accepted: a file; standard output has the introduction".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn callback_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        .ok_or_else(|| "accepted: http:// or https:// and a host".to_owned())
}

fn account(text: &str) -> Result<Credentials, String> {
    config::refuse_quotes(text).map_err(|refusal| refusal.to_string())?;
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(Credentials {
            app_id: id.to_owned(),
            app_secret: SecretString::from(secret),
        }),
        _ => Err("accepted: ID:SECRET".to_owned()),
    }
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    telemetry::start_logging(&Config::load_log(matches, std::env::vars_os())?);
    let stop = stop_signal()?;
    let address: SocketAddr = *matches.get_one("listen").expect("it has a default");
    let listener =
        http_listener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let mut base = local_url(listener.local_addr()?);
    let public: Option<&PublicUrl> = matches.get_one("public-url");
    let identity = if matches.get_flag("tls") {
        base.set_scheme("https").expect("http and https are alike");
        Some(identity(&base, public)?)
    } else {
        None
    };
    let ca_out: Option<&PathBuf> = matches.get_one("ca-out");
    if let (Some(path), Some(identity)) = (ca_out, &identity) {
        ca_file::write(path, &identity.authority)?;
    }
    introduce(format_args!("This is a SANDBOX of WeChat's API at {base}"));
    if identity.is_some() {
        introduce(trust(ca_out.map(PathBuf::as_path)));
    }
    let sandbox = sandbox(matches, public.map_or(base.as_str(), PublicUrl::as_str));
    serve(&sandbox, listener, identity, stop).await
}

/// A sandbox with the account and the callback of the arguments. Prints the account if it is
/// generated.
fn sandbox(matches: &ArgMatches, base: &str) -> Sandbox {
    let account = matches.get_one("account").cloned().unwrap_or_else(|| {
        let account = Credentials {
            app_id: "wxsandbox".to_owned(),
            app_secret: SecretString::from(random_token()),
        };
        introduce(format_args!(
            "AppID:     {}\nAppSecret: {}",
            account.app_id,
            account.app_secret.expose_secret()
        ));
        account
    });
    let app_id = account.app_id.clone();
    let sandbox = Sandbox::new(Options {
        base: base.trim_end_matches('/').to_owned(),
        base_setting: "--public-url",
        accounts: vec![account],
        clock: Clock::new(|| SystemClock.now()),
    });
    if let Some(callback) = callback(matches) {
        sandbox.set_callback(&app_id, Some(callback));
    }
    sandbox
}

/// Serves until the process is asked to stop: HTTPS with an identity, else HTTP.
async fn serve(
    sandbox: &Sandbox,
    listener: TcpListener,
    identity: Option<TlsIdentity>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let stopped = CancellationToken::new();
    let limits = sandbox_limits();
    let stopping = async {
        stop.await;
        stopped.cancel();
    };
    match identity {
        None => {
            let router = sandbox.standalone_router(&[]);
            let server = http_listener::serve(listener, router, limits, stopped.clone());
            tokio::join!(server, stopping);
        }
        Some(identity) => {
            let tls = TlsConfig::new(identity.certificate, identity.key)?;
            let router = sandbox.standalone_router(&WECHAT_HOSTS);
            let server = http_listener::serve_tls(listener, tls, router, limits, stopped.clone());
            tokio::join!(server, stopping);
        }
    }
    Ok(())
}

/// Says which certificate a client of `--tls` has to trust.
fn trust(ca_out: Option<&Path>) -> String {
    match ca_out {
        Some(path) => format!(
            "CA certificate: {} (clients have to trust it, for example by SSL_CERT_FILE)",
            path.display()
        ),
        None => "CA certificate: not written; clients have to trust it, so start with --ca-out FILE and give them the file, for \
                 example by SSL_CERT_FILE"
            .to_owned(),
    }
}

/// A certificate for the hosts that the sandbox is called by, besides WeChat's.
fn identity(base: &Url, public: Option<&PublicUrl>) -> anyhow::Result<TlsIdentity> {
    let public = public.and_then(|url| Url::parse(url.as_str()).ok());
    let hosts = [Some(base), public.as_ref()].into_iter().flatten();
    let hosts: Vec<_> = hosts
        .filter_map(Url::host_str)
        .map(|host| host.trim_matches(['[', ']']).to_owned())
        .collect();
    Ok(TlsIdentity::new(&hosts, SystemClock.now())?)
}

/// The callback by the arguments. Prints the secrets that are generated for it.
fn callback(matches: &ArgMatches) -> Option<Callback> {
    let url: &Url = matches.get_one("callback-url")?;
    let token = matches.get_one("callback-token").cloned();
    let token = token.unwrap_or_else(|| {
        let token = CallbackToken::random();
        introduce(format_args!("Token:     {}", token.as_str()));
        token
    });
    let format: Option<&String> = matches.get_one("callback-format");
    Some(Callback {
        url: url.clone(),
        token,
        mode: mode(matches),
        format: match format.map(String::as_str) {
            Some("json") => DataFormat::Json,
            _ => DataFormat::Xml,
        },
    })
}

fn mode(matches: &ArgMatches) -> Mode {
    let given: Option<&EncodingAesKey> = matches.get_one("encoding-aes-key");
    let key = || {
        given.cloned().unwrap_or_else(|| {
            let key = EncodingAesKey::random();
            introduce(format_args!("EncodingAESKey: {}", key.as_str()));
            key
        })
    };
    let mode: Option<&String> = matches.get_one("callback-mode");
    match (mode.map(String::as_str), given) {
        (Some("compatible"), _) => Mode::Compatible(key()),
        (Some("safe"), _) | (None, Some(_)) => Mode::Safe(key()),
        _ => Mode::Plain,
    }
}
