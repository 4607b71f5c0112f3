//! The name and secret by which an account calls the API.

use secrecy::SecretString;

/// The credentials of an account.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// WeChat's `appid`.
    pub app_id: String,
    /// WeChat's `secret`.
    pub app_secret: SecretString,
}
