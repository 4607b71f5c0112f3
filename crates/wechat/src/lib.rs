#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod client;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod openid;
pub mod push;
pub mod scene;
pub mod ticket;

pub use self::client::{
    ATTEMPT_TIMEOUT, AccessToken, Api, ApiError, Attempt, Class, ClientSettings, Clients,
    CreatedCode, Errcode, Error, GrantedToken, MAX_CALL, Observer, TokenCall, TokenSource, WeChat,
};
