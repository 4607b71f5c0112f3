//! Masking of secrets in the output of `wxqr config`.

use url::{Url, form_urlencoded};

use super::setting::{Mask, Secrecy};
use crate::redact::MASK;
use crate::webhooks::ReceiverUrl;

/// What a hash of a secret begins with.
const HASHED: &str = "sha256:";

/// The shown form of a valid value.
pub(super) fn shown(secrecy: Secrecy, text: &str) -> String {
    match (secrecy, text.split_once('?')) {
        (Secrecy::Secret { mask, .. }, _) => masked(mask, text),
        (Secrecy::WithoutQuery, Some((address, _))) => format!("{address}?{MASK}"),
        (Secrecy::Public | Secrecy::WithoutQuery, _) => text.to_owned(),
    }
}

fn masked(mask: Mask, text: &str) -> String {
    match mask {
        Mask::Whole => MASK.to_owned(),
        Mask::Items => vec![MASK; text.split(',').count()].join(","),
        Mask::DatabasePassword => database(text),
        Mask::KeySecrets => keys(text),
        Mask::BehindHost => origin(text),
    }
}

/// `https://host/********`.
fn origin(text: &str) -> String {
    match text.parse::<ReceiverUrl>() {
        Ok(url) => format!("{url}/{MASK}"),
        Err(_) => MASK.to_owned(),
    }
}

/// An SQLite URL unchanged, a PostgreSQL URL without its password.
fn database(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    server(text).unwrap_or_else(|| MASK.to_owned())
}

/// Masks the password of a server URL. `None` if its place is uncertain, and everything is to be
/// masked.
///
/// An `@` after the host means a password with an unescaped `/`, `?` or `#`, which ends the
/// authority of a URL early. A URL without a host (Unix socket) has no place for a password.
fn server(text: &str) -> Option<String> {
    let has_no_authority = text
        .split_once("://")
        .is_some_and(|(_, rest)| rest.starts_with('/'));
    let mut url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() || has_no_authority)?;
    let behind_the_host = [Some(url.path()), url.query(), url.fragment()];
    if behind_the_host
        .into_iter()
        .flatten()
        .any(|part| part.contains('@'))
    {
        return None;
    }
    if url.password().is_some() {
        url.set_password(Some(MASK)).ok()?;
    }
    let query = url.query().map(|query| {
        let pairs: Vec<String> = query.split('&').map(parameter).collect();
        pairs.join("&")
    });
    url.set_query(query.as_deref());
    Some(url.into())
}

/// Query parameters of database URLs that hold no secret.
const PLAIN_PARAMETERS: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "application_name",
];

/// A known parameter unchanged, of others the name only, and nothing of a text without a name.
fn parameter(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if PLAIN_PARAMETERS.contains(&name) && !is_pem(value) => {
            pair.to_owned()
        }
        Some((name, _)) if is_name(name) => format!("{name}={MASK}"),
        _ => MASK.to_owned(),
    }
}

/// True for the content of a PEM file given in place of its path.
fn is_pem(value: &str) -> bool {
    form_urlencoded::parse(value.as_bytes()).any(|(text, _)| text.contains("-----"))
}

/// True if the text looks like a parameter name and not like part of a secret.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']')
        })
}

/// `name:********:scopes` for each key, and `name:sha256:********:scopes` for a hashed one.
fn keys(text: &str) -> String {
    let entries: Vec<String> = text
        .split(',')
        .map(|entry| {
            let mut parts = entry.trim().splitn(2, ':');
            let name = parts.next();
            let scopes = parts.next().and_then(|rest| rest.rsplit_once(':'));
            match (name, scopes) {
                (Some(name), Some((secret, scopes))) => {
                    let method = secret.starts_with(HASHED).then_some(HASHED);
                    format!("{name}:{}{MASK}:{scopes}", method.unwrap_or_default())
                }
                _ => MASK.to_owned(),
            }
        })
        .collect();
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_database_only_the_password_is_masked() {
        for (text, want) in [
            ("sqlite://wxqr.db", "sqlite://wxqr.db"),
            (
                "sqlite:///var/lib/wxqr/codes.db",
                "sqlite:///var/lib/wxqr/codes.db",
            ),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://db/wxqr", "postgres://db/wxqr"),
            ("postgres://me@db:5432/wxqr", "postgres://me@db:5432/wxqr"),
            (
                "postgres://me:s3cret@db/wxqr",
                "postgres://me:********@db/wxqr",
            ),
            (
                "postgres://me:s3@cret@db/wxqr",
                "postgres://me:********@db/wxqr",
            ),
            (
                "postgresql://me:s3cret@[::1]:5432/a?sslmode=require",
                "postgresql://me:********@[::1]:5432/a?sslmode=require",
            ),
            (
                "postgres://me@db/a?password=s3cret&sslmode=disable",
                "postgres://me@db/a?password=********&sslmode=disable",
            ),
            (
                "postgres://me@db/a?pass%77ord=s3cret",
                "postgres://me@db/a?********",
            ),
            ("postgres://me@db/a?s3cret", "postgres://me@db/a?********"),
            ("postgres://me:1/s3cret@db/wxqr", MASK),
            ("postgres://me:1#s3cret@db/wxqr", MASK),
            ("postgres://me:1?s3cret@db/wxqr", MASK),
            ("postgres://", MASK),
            (
                "postgres:///wxqr?host=/run/postgresql",
                "postgres:///wxqr?host=/run/postgresql",
            ),
            (
                "postgres:///wxqr?host=/run/postgresql&user=me&password=s3cret",
                "postgres:///wxqr?host=/run/postgresql&user=me&password=********",
            ),
            ("postgres:///wxqr", "postgres:///wxqr"),
            ("postgres:///me:s3cret@db/wxqr", MASK),
            ("postgres://me:s3cret@/wxqr", MASK),
            ("postgres:me:s3cret", MASK),
            (
                "postgres://me@db/a?sslrootcert=/etc/ca.pem&sslcert=/etc/c.pem&sslkey=/etc/k.pem",
                "postgres://me@db/a?sslrootcert=/etc/ca.pem&sslcert=/etc/c.pem&sslkey=/etc/k.pem",
            ),
            (
                "postgres://me@db/a?sslkey=-----BEGIN%20PRIVATE%20KEY-----",
                "postgres://me@db/a?sslkey=********",
            ),
            (
                "postgres://me@db/a?sslkey=%2D%2D%2D%2D%2DBEGIN",
                "postgres://me@db/a?sslkey=********",
            ),
            (
                "postgres://me@db/a?options[x]=s3cret&s3cret=x&S3cret=",
                "postgres://me@db/a?options[x]=********&********&********",
            ),
        ] {
            assert_eq!(database(text), want, "{text}");
        }
    }

    #[test]
    fn of_a_list_of_secrets_the_number_is_shown() {
        assert_eq!(masked(Mask::Items, "s3cret"), MASK);
        assert_eq!(masked(Mask::Items, "s3cret,s3cret2"), "********,********");
    }

    #[test]
    fn of_keys_names_and_scopes_are_shown() {
        for (text, want) in [
            ("ops:s3cret-s3cret-s3cret:admin", "ops:********:admin"),
            (
                "ops:s3cret-s3cret-s3cret:stats+mint, pos:s3cret-s3cret-s3cret2:mint",
                "ops:********:stats+mint,pos:********:mint",
            ),
            (
                "ops:sha256:s3cret-s3cret-s3cret:stats+mint",
                "ops:sha256:********:stats+mint",
            ),
            ("s3cret-s3cret-s3cret", MASK),
            ("name:s3cret-s3cret-s3cret", MASK),
        ] {
            assert_eq!(keys(text), want);
        }
    }
}
