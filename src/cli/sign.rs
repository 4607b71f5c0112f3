//! `wxqr sign`: signs a link for `WXQR_ACCESS=signed`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use jiff::Timestamp;
use url::Url;
use wechat::scene::Lifetime;
use wxqr::access::{LinkExpiry, SIGNED};
use wxqr::clock::{Clock as _, SystemClock};
use wxqr::config::{Config, PublicUrl, flags_of};
use wxqr::form::{self, escaped, mangled};
use wxqr::http::{SceneParams, SceneParamsError};

use super::output::print;
use super::usage::Usage;

/// Parameters that decide the code or the access. A signed link must contain each of them at most
/// once, unchanged.
const PARAMETERS: [&str; 6] = [
    "exp",
    "expire_seconds",
    "permanent",
    "scene_id",
    "scene_str",
    "sig",
];

pub(super) fn command() -> Command {
    let command = Command::new("sign")
        .about("Signs a link with the first of the link keys, and prints it")
        .arg(
            Arg::new("link")
                .value_name("LINK")
                .required(true)
                .help("Parameters as in 'scene_id=123&expire_seconds=3600', or a whole link to /qrcode or /qrcode.png and so on, with or without a host"),
        )
        .arg(
            Arg::new("expires-in")
                .long("expires-in")
                .value_name("DURATION")
                .value_parser(humantime::parse_duration)
                .help("How long the link is valid, such as 12h or 30d; without it, and without exp in the link, it never expires"),
        );
    flags_of(command, &["link-keys", "public-url"])
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let text: &String = matches.get_one("link").expect("it is required");
    let expires_in: Option<&Duration> = matches.get_one("expires-in");
    let now = SystemClock.now();
    let mut link = LinkToSign::parse(text)?;
    if let Some(&duration) = expires_in {
        link.expire(expiry(now, duration)?)?;
    }
    link.check(now)?;
    let settings = Config::load_signing(matches, std::env::vars_os())?;
    let sig = settings
        .link_keys
        .sign(link.parameters())
        .expect("signing settings have a key");
    link.parameters.push(("sig".to_owned(), sig));
    Ok(print(link.written(settings.public_url.as_ref()))?)
}

/// The expiry of a link that is valid for this duration. It has whole seconds.
fn expiry(now: Timestamp, duration: Duration) -> Result<LinkExpiry, Usage> {
    let at = now.checked_add(duration).ok();
    let at = at.filter(|_| duration >= Duration::from_secs(1));
    at.map(LinkExpiry::from).ok_or_else(|| {
        Usage::new("--expires-in must be at least one second, and end before the year 9999")
    })
}

/// A parsed link to `/qrcode`.
#[derive(Debug)]
struct LinkToSign {
    /// Host and path as given; `None` if only parameters were given.
    target: Option<String>,
    /// Decoded names and values.
    parameters: Vec<(String, String)>,
}

impl LinkToSign {
    fn parse(text: &str) -> Result<Self, Usage> {
        if text.contains('#') {
            return Err(Usage::new(
                "the link must not have a #; in a value it is %23",
            ));
        }
        let (target, query) = if is_target(text) {
            let (target, query) = text.split_once('?').unwrap_or((text, ""));
            (Some(checked_target(target)?), query)
        } else {
            (None, text.strip_prefix('?').unwrap_or(text))
        };
        if let Some(found) = mangled::find(query, &PARAMETERS) {
            return Err(Usage::new(format!(
                "the link's {} is mangled: {}",
                found.name, found.mangling
            )));
        }
        let parameters = form::pairs(query)
            .map_err(|_| Usage::new("the link must be UTF-8, percent-encoded"))?;
        Ok(Self { target, parameters })
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn get(&self, wanted: &str) -> Option<&str> {
        self.parameters()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    }

    fn expire(&mut self, exp: LinkExpiry) -> Result<(), Usage> {
        if self.get("exp").is_some() {
            return Err(Usage::new(
                "the link has an exp: leave it out, or --expires-in",
            ));
        }
        self.parameters.push(("exp".to_owned(), exp.to_string()));
        Ok(())
    }

    /// Applies the checks of the service, so that every signed link works.
    fn check(&self, now: Timestamp) -> Result<(), Usage> {
        for name in SIGNED {
            if self
                .parameters()
                .filter(|(given, _)| *given == name)
                .count()
                > 1
            {
                return Err(Usage::new(format!("{name} must be given once only")));
            }
        }
        if self.get("sig").is_some() {
            return Err(Usage::new("the link has a sig: leave it out"));
        }
        self.check_scene()?;
        match self
            .get("exp")
            .map(|text| checked::<LinkExpiry>("exp", text))
        {
            None => Ok(()),
            Some(Ok(exp)) if exp.has_passed(now) => Err(Usage::new("exp has passed")),
            Some(exp) => exp.map(drop),
        }
    }

    fn check_scene(&self) -> Result<(), Usage> {
        let params = SceneParams::of(self.parameters());
        let any = Lifetime::try_from(1).expect("a second is a lifetime");
        match params.spec(any) {
            Ok(_) => Ok(()),
            Err(SceneParamsError::NoScene | SceneParamsError::TwoScenes) => Err(Usage::new(
                "the link must have either scene_id or scene_str",
            )),
            Err(error) => Err(Usage::new(format!("{} {error}", error.parameter()))),
        }
    }

    fn written(&self, public_url: Option<&PublicUrl>) -> String {
        let base = public_url.map_or("", PublicUrl::as_str);
        let target = self.target.clone();
        let query: Vec<String> = self
            .parameters()
            .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
            .collect();
        let target = target.unwrap_or_else(|| format!("{base}/qrcode"));
        format!("{target}?{}", query.join("&"))
    }
}

/// Whether the text has a host or a path, not only parameters.
fn is_target(text: &str) -> bool {
    ["/", "http://", "https://"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Returns host and path, if the service answers them with a code.
fn checked_target(target: &str) -> Result<String, Usage> {
    const EXTENSIONS: [&str; 5] = ["html", "json", "png", "svg", "jpg"];
    let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic());
    let path = if target.starts_with('/') {
        Some(target.to_owned())
    } else {
        Url::parse(target).ok().map(|url| url.path().to_owned())
    };
    let is_code = |path: String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let (name, extension) = name.split_once('.').unwrap_or((name, "html"));
        name == "qrcode" && EXTENSIONS.contains(&extension)
    };
    if is_plain && path.is_some_and(is_code) {
        Ok(target.to_owned())
    } else {
        let accepted = EXTENSIONS.join(", .");
        Err(Usage::new(format!(
            "only links to /qrcode can be signed, with the extension .{accepted} or none"
        )))
    }
}

fn checked<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Usage> {
    text.parse()
        .map_err(|error| Usage::new(format!("{name} {error}")))
}
