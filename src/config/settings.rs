//! The table of settings, from which `--help`, the variables, `wxqr config` and
//! `docs/configuration.md` are made.
//!
//! A new setting is one constant here, listed in [`SETTINGS`], and one field of
//! [`Config`](super::Config) with the line that reads it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use jiff::tz::Offset;
use secrecy::SecretString;
use url::Url;
use wechat::TokenSource;
use wechat::push::{CallbackToken, EncodingAesKey, ReplyText};
use wechat::scene::Lifetime;

use super::file::MAX_FILE_BYTES;
use super::setting::{Description, Mask, Setting};
use super::values::{
    self, AppId, CorsOrigins, ExtraCa, FrameAncestors, PublicUrl, access, scans, webhook,
};
use crate::access::{Key, Keyring, LinkKeys, Mode, Rate, TrustedProxies};
use crate::codes::ReuseShare;
use crate::statistics::PersonKey;
use crate::telemetry::LogFormat;
use crate::webhooks::{ReceiverUrl, SigningSecrets};

// The texts of `--help` below say these numbers.
const _: () = assert!(AppId::MAX_LEN == 64);
const _: () = assert!(values::MAX_APP_SECRET == 128);
const _: () = assert!(CallbackToken::MIN_LEN == 3 && CallbackToken::MAX_LEN == 32);
const _: () = assert!(Key::MIN_SECRET_LEN == 16);
const _: () = assert!(LinkKeys::MIN_KEY_LEN == 10);
const _: () = assert!(EncodingAesKey::LEN == 43);
const _: () = assert!(PersonKey::LEN == 32);
const _: () = assert!(SigningSecrets::MIN_LEN == 24);
const _: () = assert!(SigningSecrets::MAX_LEN == 64);
const _: () = assert!(values::MAX_API_BASES == 4);
const _: () = assert!(MAX_FILE_BYTES == 1024 * 1024);
const _: () = assert!(Rate::MAX_MINTS == 1_000_000);
const _: () = assert!(Rate::MIN_PERIOD.as_secs() == 1);
const _: () = assert!(Rate::MAX_PERIOD.as_secs() == 24 * 60 * 60);

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Description] = &[
    LISTEN.description(),
    METRICS_LISTEN.description(),
    PUBLIC_URL.description(),
    APP_ID.description(),
    APP_SECRET.description(),
    API_BASE.description(),
    MP_BASE.description(),
    TOKEN_SOURCE.description(),
    EXTRA_CA_FILE.description(),
    OUTBOUND_ADDRESS.description(),
    UPSTREAM_TIMEOUT.description(),
    DATABASE_URL.description(),
    DEFAULT_EXPIRE.description(),
    REUSE.description(),
    CACHE_ENTRIES.description(),
    ANONYMOUS_BUDGET.description(),
    VISITOR_RATE.description(),
    VISITOR_PACE.description(),
    PERMANENT_LIMIT.description(),
    API_KEYS.description(),
    ACCESS.description(),
    LINK_KEYS.description(),
    TRUSTED_PROXIES.description(),
    CORS_ORIGINS.description(),
    FRAME_ANCESTORS.description(),
    CALLBACK_TOKEN.description(),
    ENCODING_AES_KEY.description(),
    ENCODING_AES_KEY_PREVIOUS.description(),
    RELAY_URL.description(),
    DEFAULT_REPLY.description(),
    WEBHOOK_URL.description(),
    WEBHOOK_SECRET.description(),
    WEBHOOK_OPENID.description(),
    TIME_ZONE.description(),
    RETENTION.description(),
    PERSON_KEY.description(),
    MAX_CONNECTIONS.description(),
    HEADER_TIMEOUT.description(),
    LOG.description(),
    LOG_FORMAT.description(),
    LOG_CLIENT.description(),
    DRAIN_DELAY.description(),
    DRAIN_TIMEOUT.description(),
];

pub(super) const LISTEN: Setting<SocketAddr> = Setting::new(
    "listen",
    values::socket_address,
    "Address and port of the service (image: `0.0.0.0:8080`)",
)
.default("127.0.0.1:8080");
pub(super) const METRICS_LISTEN: Setting<SocketAddr> = Setting::new(
    "metrics-listen",
    values::socket_address,
    "Address and port of a second listener for `/metrics`; unset: off (image: `0.0.0.0:9464`)",
);
pub(super) const PUBLIC_URL: Setting<PublicUrl> = Setting::new(
    "public-url",
    PublicUrl::from_str,
    "Base URL of the service's links, path included, such as `https://qr.example.com/wx`; unset: links are relative",
);
pub(super) const APP_ID: Setting<AppId> = Setting::new(
    "app-id",
    AppId::from_str,
    "AppID of the Official Account, 1 to 64 of `A-Za-z0-9_-`",
)
.required()
.not_in_demo();
pub(super) const APP_SECRET: Setting<SecretString> = Setting::new(
    "app-secret",
    values::app_secret,
    "AppSecret of the Official Account, 1 to 128 printable characters without spaces",
)
.required()
.secret("app-secret-file")
.not_in_demo();
pub(super) const API_BASE: Setting<Vec<Url>> = Setting::new("api-base", values::api_bases, "WeChat's API hosts, 1 to 4, comma-separated; the first is preferred, the next are for when it cannot be reached").default("https://api.weixin.qq.com,https://api2.weixin.qq.com").list()
    .not_in_demo();
pub(super) const MP_BASE: Setting<Url> =
    Setting::new("mp-base", values::mp_base, "Host of WeChat's `showqrcode`")
        .default("https://mp.weixin.qq.com")
        .not_in_demo();
pub(super) const TOKEN_SOURCE: Setting<TokenSource> = Setting::new("token-source", values::token_source, "Where access tokens come from: `stable` (`/cgi-bin/stable_token`) or `classic` (`/cgi-bin/token`)").default("stable");
pub(super) const EXTRA_CA_FILE: Setting<ExtraCa> = Setting::new(
    "extra-ca-file",
    ExtraCa::read,
    "PEM file of certificates to trust besides the built-in roots, at most 1 MiB",
)
.not_in_demo();
pub(super) const OUTBOUND_ADDRESS: Setting<IpAddr> = Setting::new(
    "outbound-address",
    values::ip_address,
    "Address of this machine from which WeChat is called, such as the one on its IP allow-list; `0.0.0.0`: any, but IPv4 only; unset: the system chooses",
)
.not_in_demo();
pub(super) const UPSTREAM_TIMEOUT: Setting<Duration> = Setting::ranged(
    "upstream-timeout",
    values::duration,
    "100ms",
    "30s",
    "How long one request waits for WeChat at most, all calls and retries together, {range}",
)
.default("5s");
pub(super) const DATABASE_URL: Setting<SecretString> = Setting::new("database-url", values::database_url, "Where codes are kept: `sqlite://FILE`, `sqlite::memory:` or `postgres://...`; a relative file is in the working directory, in the image `/data`").default("sqlite://wxqr.db").partly_secret("database-url-file", Mask::DatabasePassword)
    .not_in_demo();
pub(super) const DEFAULT_EXPIRE: Setting<Lifetime> = Setting::ranged(
    "default-expire",
    values::lifetime,
    "1s",
    "30d",
    "Lifetime of a temporary code when the request names none, whole seconds, {range}",
)
.default("7200s");
pub(super) const REUSE: Setting<ReuseShare> = Setting::ranged("reuse", values::reuse, "0", "1", "Share of the requested lifetime that a known code must have left to be served again, {range}; `1` creates a code for every request").default("0.5");
pub(super) const CACHE_ENTRIES: Setting<u64> = Setting::ranged(
    "cache-entries",
    values::count,
    "1",
    "10000000",
    "Codes in the memory cache at most, {range}",
)
.default("100000");
pub(super) const ANONYMOUS_BUDGET: Setting<u64> = Setting::ranged(
    "anonymous-budget",
    values::count,
    "0",
    "100000000",
    "Codes that visitors without a key may create in a day (China time), over all replicas, {range}",
)
.default("10000");
pub(super) const VISITOR_RATE: Setting<Rate> = Setting::new("visitor-rate", access::rate, "Codes that one visitor (an IPv4 address or an IPv6 /64) may create, in each process, `N/DURATION`: 1 to 1000000 in `1s` to `1d`").default("30/1m");
pub(super) const VISITOR_PACE: Setting<Rate> = Setting::new("visitor-pace", access::rate, "Codes that all visitors together may create, in each process, `N/DURATION`: 1 to 1000000 in `1s` to `1d`. The default is our choice: WeChat publishes no limit per minute").default("100/1s");
pub(super) const PERMANENT_LIMIT: Setting<u64> = Setting::ranged(
    "permanent-limit",
    values::count,
    "0",
    "100000",
    "Number of permanent codes after which no more are created, {range}",
)
.default("100000");
pub(super) const API_KEYS: Setting<Keyring> = Setting::new(
    "api-keys",
    values::keyring,
    "`name:secret:scope+scope` or, from `wxqr key`, `name:sha256:HASH:scope+scope`, comma-separated; \
         secret 16 or more of `A-Za-z0-9_-`; \
         scopes `mint`, `permanent`, `stats`, `people`, `bind`, `admin` (= all)",
)
.partly_secret("api-keys-file", Mask::KeySecrets)
.list()
.not_in_demo();
pub(super) const ACCESS: Setting<Mode> = Setting::new("access", access::mode, "Who may create temporary codes without a key: `open` (every visitor), `signed` (visitors with a signed link), `keyed` (nobody)").default("open");
pub(super) const LINK_KEYS: Setting<LinkKeys> = Setting::new("link-keys", access::link_keys, "Keys of signed links, comma-separated, each 10 or more printable ASCII characters without spaces and commas; \
         the first one signs, all of them verify").list()
    .partly_secret("link-keys-file", Mask::Items);
pub(super) const TRUSTED_PROXIES: Setting<TrustedProxies> = Setting::new("trusted-proxies", access::trusted_proxies, "Networks such as `10.0.0.0/8`, comma-separated, whose `X-Forwarded-For` is trusted; unset: none").list();
pub(super) const CORS_ORIGINS: Setting<CorsOrigins> = Setting::new("cors-origins", CorsOrigins::from_str, "Origins whose scripts may read `/qrcode`: `*`, `none`, or a comma-separated list such as `https://www.example.com`").default("*").list();
pub(super) const FRAME_ANCESTORS: Setting<FrameAncestors> = Setting::new("frame-ancestors", FrameAncestors::from_str, "Who may frame `/qrcode`: `*`, `none`, or a comma-separated list of `self` and origins, `https://*.example.com` too").default("*").list();
pub(super) const CALLBACK_TOKEN: Setting<CallbackToken> = Setting::new(
    "callback-token",
    scans::token,
    "Token of the callback in WeChat's console, 3 to 32 of `A-Za-z0-9`; unset: callback off",
)
.secret("callback-token-file")
.not_in_demo();
pub(super) const ENCODING_AES_KEY: Setting<EncodingAesKey> = Setting::new("encoding-aes-key", scans::aes_key, "EncodingAESKey of the callback in WeChat's console, 43 characters; unset: messages in plain text").secret("encoding-aes-key-file")
    .not_in_demo();
pub(super) const ENCODING_AES_KEY_PREVIOUS: Setting<EncodingAesKey> = Setting::new(
    "encoding-aes-key-previous",
    scans::aes_key,
    "The previous EncodingAESKey, while WeChat may still use it after a change",
)
.secret("encoding-aes-key-previous-file")
.not_in_demo();
pub(super) const RELAY_URL: Setting<Url> = Setting::new("relay-url", scans::relay_url, "The account's existing message server: every push is passed on to it, and its answer is returned").without_query()
    .not_in_demo();
pub(super) const DEFAULT_REPLY: Setting<ReplyText> = Setting::new(
    "default-reply",
    scans::reply_text,
    "Text that a new follower gets, 1 to 600 characters; unset: none",
)
.not_in_demo();
pub(super) const WEBHOOK_URL: Setting<ReceiverUrl> = Setting::new(
    "webhook-url",
    webhook::url,
    "Where every event is sent as it is stored (Standard Webhooks); only its host is ever shown; unset: nowhere",
)
.partly_secret("webhook-url-file", Mask::BehindHost);
pub(super) const WEBHOOK_SECRET: Setting<SigningSecrets> = Setting::new(
    "webhook-secret",
    webhook::secrets,
    "What signs webhooks, `whsec_` and 24 to 64 random bytes in base64; comma-separated, all of them sign: the new one and, for a time, the old one",
)
.partly_secret("webhook-secret-file", Mask::Items)
.list();
pub(super) const WEBHOOK_OPENID: Setting<bool> = Setting::new(
    "webhook-openid",
    values::boolean,
    "Whether webhooks have the followers' openids, `true` or `false`",
)
.default("false");
pub(super) const TIME_ZONE: Setting<Offset> = Setting::ranged(
    "time-zone",
    scans::time_zone,
    "-12:00",
    "+14:00",
    "UTC offset of the days in the statistics, {range}",
)
.default("+08:00");
pub(super) const RETENTION: Setting<Duration> = Setting::ranged(
    "retention",
    values::duration,
    "1d",
    "3650d",
    "How long events and openids are kept, {range}; daily numbers stay",
)
.default("400d");
pub(super) const PERSON_KEY: Setting<PersonKey> = Setting::new("person-key", scans::person_key, "Key of the followers' pseudonyms: 32 random bytes, as 64 hex digits or in base64; unset: generated, and kept in the database").secret("person-key-file")
    .not_in_demo();
pub(super) const MAX_CONNECTIONS: Setting<u64> = Setting::ranged(
    "max-connections",
    values::count,
    "1",
    "1000000",
    "Connections at once, {range}; beyond, the slowest connection is closed",
)
.default("10000");
pub(super) const HEADER_TIMEOUT: Setting<Duration> = Setting::ranged(
    "header-timeout",
    values::duration,
    "100ms",
    "5m",
    "How long a client may take to send the headers of a request, {range}",
)
.default("10s");
pub(super) const LOG: Setting<String> = Setting::new("log", values::log_filter, "Log filter: `off`, `error`, `warn`, `info`, `debug`, `trace`, or per module as in `info,wxqr=debug`").default("info").list()
    // Its ten lines of output should stay in sight.
    .demo_default("warn");
pub(super) const LOG_FORMAT: Setting<LogFormat> = Setting::new(
    "log-format",
    values::log_format,
    "`text`, `json`, or `auto`: text on a terminal, else JSON",
)
.default("auto");
pub(super) const LOG_CLIENT: Setting<bool> = Setting::new(
    "log-client",
    values::boolean,
    "Whether the log has the address of the client with each request that is refused (4xx and 503): `true` or `false`",
)
.default("false");
pub(super) const DRAIN_DELAY: Setting<Duration> = Setting::ranged(
    "drain-delay",
    values::duration,
    "0s",
    "5m",
    "How long connections are still accepted after SIGTERM, {range} (image: `3s`)",
)
.default("0s");
pub(super) const DRAIN_TIMEOUT: Setting<Duration> = Setting::ranged(
    "drain-timeout",
    values::duration,
    "0s",
    "10m",
    "How long requests in flight may take to finish after the drain delay, {range}",
)
.default("20s");
