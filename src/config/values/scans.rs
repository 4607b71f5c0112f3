//! Parsers of the settings of callback, relay and statistics.

use jiff::tz::Offset;
use url::Url;
use wechat::push::{CallbackToken, CredentialsError, EncodingAesKey, ReplyError, ReplyText};

use super::{InvalidValue, Range, web_url};
use crate::statistics::{PersonKey, PersonKeyError};

pub(in crate::config) fn token(text: &str) -> Result<CallbackToken, InvalidValue> {
    text.parse().map_err(|error: CredentialsError| {
        InvalidValue::new(error.to_string(), CallbackToken::FORM)
    })
}

pub(in crate::config) fn aes_key(text: &str) -> Result<EncodingAesKey, InvalidValue> {
    text.parse().map_err(|error: CredentialsError| {
        InvalidValue::new(error.to_string(), EncodingAesKey::FORM)
    })
}

pub(in crate::config) fn reply_text(text: &str) -> Result<ReplyText, InvalidValue> {
    text.parse().map_err(|error: ReplyError| {
        let accepted = format!(
            "1 to {} characters, and at most {} bytes",
            ReplyText::MAX_CHARS,
            ReplyText::MAX_BYTES
        );
        InvalidValue::new(error.to_string(), accepted)
    })
}

/// What `relay-url` accepts.
pub(in crate::config) const RELAY_FORM: &str =
    "http:// or https://, a host, and perhaps a path and a query, without fragment or user";

/// Accepts a query: a message server for several accounts may need one.
pub(in crate::config) fn relay_url(text: &str) -> Result<Url, InvalidValue> {
    let (address, query) = match text.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (text, None),
    };
    let is_query =
        |query: &str| query.bytes().all(|byte| byte.is_ascii_graphic()) && !query.contains('#');
    let mut url = web_url(address).map_err(|problem| InvalidValue::new(problem, RELAY_FORM))?;
    if !query.is_none_or(is_query) {
        return Err(InvalidValue::new("has a query that is not one", RELAY_FORM));
    }
    url.set_query(query);
    Ok(url)
}

/// Parses an offset from UTC: `+HH:MM` or `-HH:MM`.
pub(in crate::config) fn time_zone(text: &str, range: Range) -> Result<Offset, InvalidValue> {
    let Range { low, high } = range;
    offset_minutes(text)
        .filter(|minutes| (offset_minutes(low)..=offset_minutes(high)).contains(&Some(*minutes)))
        .and_then(|minutes| Offset::from_seconds(minutes * 60).ok())
        .ok_or_else(|| {
            let accepted = format!("+HH:MM or -HH:MM, such as +08:00, from {low} to {high}");
            InvalidValue::new("is not a distance from UTC", accepted)
        })
}

fn offset_minutes(text: &str) -> Option<i32> {
    let two_digits = |text: &str| -> Option<i32> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok())?
    };
    let (sign, time) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = time.split_once(':')?;
    let minutes = two_digits(minutes).filter(|minutes| *minutes < 60)?;
    Some(sign * (two_digits(hours)? * 60 + minutes))
}

pub(in crate::config) fn person_key(text: &str) -> Result<PersonKey, InvalidValue> {
    text.parse()
        .map_err(|error: PersonKeyError| InvalidValue::new(error.to_string(), PersonKey::FORM))
}
