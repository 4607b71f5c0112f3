//! Parsers of the settings of access control.

use std::fmt::Display;

use super::InvalidValue;
use crate::access::{LinkKeys, Mode, Rate, TrustedProxies};

pub(in crate::config) fn mode(text: &str) -> Result<Mode, InvalidValue> {
    match text {
        "open" => Ok(Mode::Open),
        "signed" => Ok(Mode::Signed),
        "keyed" => Ok(Mode::Keyed),
        _ => Err(InvalidValue::new(
            "is not an access mode",
            "open, signed, keyed",
        )),
    }
}

pub(in crate::config) fn link_keys(text: &str) -> Result<LinkKeys, InvalidValue> {
    text.parse().map_err(refusing(LinkKeys::FORM))
}

pub(in crate::config) fn rate(text: &str) -> Result<Rate, InvalidValue> {
    text.parse().map_err(refusing(Rate::FORM))
}

pub(in crate::config) fn trusted_proxies(text: &str) -> Result<TrustedProxies, InvalidValue> {
    text.parse().map_err(refusing(TrustedProxies::FORM))
}

/// Converts a feature's parse error. It quotes no value, so it is safe to show.
fn refusing<E: Display>(accepted: &'static str) -> impl FnOnce(E) -> InvalidValue {
    move |error| InvalidValue::new(error.to_string(), accepted)
}
