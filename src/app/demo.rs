//! The demo: the service and a sandbox that plays WeChat for it, on one listener.

use std::sync::Arc;

use url::Url;
use wechat::push::{self, Reply};
use wechat::scene::{Kind, Scene};
use wechat_sandbox::{self as sandbox, Credentials, Options, Sandbox};

use super::build::{self, Demo, PUBLIC_URL_VARIABLE, StartError};
use super::run::App;
use crate::channels::{Change, ChannelChange, ChannelStore};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::http::DEMO_SCENE;
use crate::telemetry::Causes;

impl App {
    /// Takes the addresses and builds the service with a sandbox on the same listener, which plays
    /// WeChat for it. `config` must be the demo's; its console is entered with `key`.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind_demo(mut config: Config, key: &str) -> Result<(Self, Sandbox), StartError> {
        let listener = build::listen(config.listen)?;
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let base = crate::config::local_url(address);
        let public_url = config.public_url.get_or_insert_with(|| {
            base.as_str()
                .trim_end_matches('/')
                .parse()
                .expect("an address makes a URL")
        });
        let sandbox = Sandbox::new(Options {
            base: public_url.as_str().to_owned(),
            base_setting: PUBLIC_URL_VARIABLE,
            accounts: vec![Credentials {
                app_id: config.account.app_id.as_str().to_owned(),
                app_secret: config.account.app_secret.clone(),
            }],
            clock: sandbox_clock(&clock),
        });
        let url = base.join("callback").expect("a host has paths");
        set_callback(&mut config, &sandbox, url);
        config.upstream.api_bases = vec![base];
        let demo = Demo {
            sandbox: &sandbox,
            key,
        };
        let app = build::build(&config, listener, clock, Some(demo)).await?;
        give_reply(&app.upkeep.stores.channels).await;
        Ok((app, sandbox))
    }
}

/// Gives the code of the first page a reply, which its phone page shows after a scan.
async fn give_reply(channels: &ChannelStore) {
    let scene = Scene::new(Kind::QrScene, DEMO_SCENE).expect("the demo's scene is a number");
    let change = ChannelChange {
        reply: Change::Set(text(
            "你扫了演示码，这是它的回复。\nYou scanned the demo's code. This is its reply.",
        )),
        ..ChannelChange::default()
    };
    if let Err(error) = channels.change(&scene, &change).await {
        tracing::warn!(error = %Causes(&error), "the demo's code has no reply");
    }
}

fn text(text: &str) -> Reply {
    Reply::Text(text.parse().expect("it is short"))
}

fn sandbox_clock(clock: &Arc<dyn Clock>) -> sandbox::Clock {
    let clock = Arc::clone(clock);
    sandbox::Clock::new(move || clock.now())
}

/// Sets up the callback on both sides, in safe mode, with secrets for this process.
fn set_callback(config: &mut Config, sandbox: &Sandbox, url: Url) {
    let token = sandbox::CallbackToken::random();
    let key = sandbox::EncodingAesKey::random();
    config.scans.callback = Some(push::Credentials {
        token: token.as_str().parse().expect("both are WeChat's form"),
        keys: Some(push::AesKeys {
            current: key.as_str().parse().expect("both are WeChat's form"),
            previous: None,
        }),
    });
    let reply = "感谢关注！这是自动回复。\nThank you for following! This is an automatic reply.";
    config.scans.default_reply = Some(reply.parse().expect("it is short"));
    let callback = sandbox::Callback {
        url,
        token,
        mode: sandbox::Mode::Safe(key),
        format: sandbox::DataFormat::Xml,
    };
    sandbox.set_callback(config.account.app_id.as_str(), Some(callback));
}
