#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod api;
mod authority;
mod body;
mod clock;
mod control;
mod credentials;
mod errcode;
mod form;
mod own_paths;
mod pages;
mod platform;
mod push;
mod random;
mod router;
mod sandbox;

pub use self::api::fault::{Fault, FaultKind, Target};
pub use self::api::log::{Api, Call};
pub use self::authority::{AUTHORITY_NAME, CertificateError, TlsIdentity, WECHAT_HOSTS};
pub use self::clock::Clock;
pub use self::credentials::Credentials;
pub use self::push::Push;
pub use self::push::callback::{
    Callback, CallbackToken, DataFormat, EncodingAesKey, InvalidCallbackSetting, Mode,
};
pub use self::push::delivery::{Delivery, NoCallback, VerificationError};
pub use self::push::event::{Event, EventKind, FollowSource, ScannedCode};
pub use self::push::reply::{Article, FAULT_SHOWN, Reply, ReplyFault};
pub use self::push::response::{Attempt, CallbackResponse, DeliveryError};
pub use self::sandbox::{Options, Sandbox};
