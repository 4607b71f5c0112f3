//! Cross-origin resource sharing (CORS): lets scripts of other sites read `/qrcode`.

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::config::CorsOrigins;

/// Allows `GET` and `HEAD` from these origins, without credentials.
pub(crate) fn layer(origins: &CorsOrigins) -> CorsLayer {
    let layer = CorsLayer::new().allow_methods([Method::GET, Method::HEAD]);
    match origins {
        CorsOrigins::Any => layer.allow_origin(Any).vary([]),
        CorsOrigins::List(list) => {
            let values = list
                .iter()
                .map(|origin| HeaderValue::from_str(origin.as_str()));
            let values = values
                .collect::<Result<Vec<_>, _>>()
                .expect("origins are checked to be ASCII");
            layer
                .allow_origin(AllowOrigin::list(values))
                .vary([header::ORIGIN])
        }
    }
}
