#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod acceptor;
mod budget;
mod buffered_body;
mod connection;
mod limits;
mod open_files;
mod rate_limited_log;
mod server;
mod service;
mod slots;
mod smuggling;
mod tls;
mod trailing_slash;

pub use self::budget::ByteBudget;
pub use self::buffered_body::{BodyError, BufferedBody};
pub use self::limits::Limits;
pub use self::server::{bind, serve, serve_tls, serve_tracked};
pub use self::service::HttpService;
pub use self::tls::{TlsConfig, TlsConfigError};
pub use self::trailing_slash::without_trailing_slash;
