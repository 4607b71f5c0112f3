#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod check;
mod error;
mod guard;
mod headers;
mod hosts;

pub use self::error::ForeignRequest;
pub use self::guard::OriginGuard;
pub use self::hosts::TrustedHosts;
