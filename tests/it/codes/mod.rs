//! A scene becomes a code: who may have one made, how often WeChat is called, how fresh it is, and
//! the access token.

mod access;
mod access_token;
mod freshness;
mod minting;
