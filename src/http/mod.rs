//! Serves HTTP requests. The rooms below do not know that it exists. Read `router` first.
//!
//! | module | does |
//! |---|---|
//! | `router` | the URL map and the order of the middleware |
//! | `middleware` | what is done around every request |
//! | `state`, `extract` | what handlers use, and what they read of a request |
//! | `qrcode`, `pages`, `api`, `callback`, `operators` | the handlers, by caller |
//! | `microcache` | responses that are kept for a second |
//! | `problem` | every error of every room as a response |
//! | `negotiation`, `i18n` | representations and languages |
//! | `html`, `static_response` | pages, and responses that do not change |
//! | `openapi`, `scene_params` | the OpenAPI document, and the parameters that name a code |

mod api;
mod callback;
pub(crate) mod extract;
mod html;
mod i18n;
mod microcache;
mod middleware;
mod negotiation;
mod openapi;
mod operators;
mod pages;
mod problem;
mod qrcode;
mod router;
mod scene_params;
mod site;
mod state;
mod static_response;
mod time_format;

pub use self::api::codes::{Archives, FileReader};
pub(crate) use self::api::codes::{MAX_BODY, MAX_FILE};
pub use self::callback::Callback;
pub(crate) use self::callback::WECHAT_TIMEOUT;
pub use self::extract::authenticator::Authenticator;
pub(crate) use self::middleware::request_limits::MAX_HEAD;
pub use self::middleware::stack::Front;
pub(crate) use self::pages::home::DEMO_SCENE;
pub use self::qrcode::link::LinkSigner;
pub use self::router::{RouterSettings, metrics_router, openapi_document, router, starting_router};
pub use self::scene_params::{SceneParams, SceneParamsError};
pub use self::site::Site;
pub use self::state::{AppParts, AppState};
