//! The composition root: settings become a service that listens, serves and stops.
//!
//! Read [`App`] first. This is the only place where all rooms meet.

mod build;
mod demo;
mod limits;
mod run;
mod stores;
mod upkeep;

pub use self::build::StartError;
pub use self::limits::sandbox_limits;
pub use self::run::App;
pub use self::stores::Stores;

pub(crate) use self::build::{mint_dependencies, monitor, upstream};
