//! HTTP: the map of URLs, and what is around every request. The rooms below do not know that it exists.
//!
//! Read `router` first.

mod api;
mod callback;
pub(crate) mod extract;
mod html;
mod i18n;
mod middleware;
mod negotiation;
mod openapi;
mod operators;
mod pages;
mod problem;
mod qrcode;
mod router;
mod state;

pub use self::callback::Callback;
pub use self::extract::caller::Access;
pub use self::html::site::Site;
pub use self::operators::metrics_router;
pub use self::router::{openapi_document, router, starting_router};
pub use self::state::AppState;
