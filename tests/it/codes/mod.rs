//! A scene becomes a code: who may create one, how often WeChat is called, how fresh it is, and
//! the access token.

mod access;
mod access_token;
mod freshness;
mod minting;
