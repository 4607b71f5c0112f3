//! Parsers of the settings of webhooks.

use super::InvalidValue;
use crate::webhooks::{ReceiverUrl, ReceiverUrlError, SigningSecrets, SigningSecretsError};

pub(in crate::config) fn url(text: &str) -> Result<ReceiverUrl, InvalidValue> {
    text.parse()
        .map_err(|error: ReceiverUrlError| InvalidValue::new(error.to_string(), ReceiverUrl::FORM))
}

pub(in crate::config) fn secrets(text: &str) -> Result<SigningSecrets, InvalidValue> {
    text.parse().map_err(|error: SigningSecretsError| {
        InvalidValue::new(error.to_string(), SigningSecrets::FORM)
    })
}
