//! The lower limit of the comparison: axum parses the query and sends a short page, nothing else.
//!
//! `bare_axum PORT`

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

/// As long as the page of a handler that only shows the picture: 163 bytes.
const PAGE: &str = concat!(
    "<img src=\"https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=",
    "gQE08DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAyYmFyZWF4dW1saW1pdDEyMzQAAgTM6BZnAwQAjScA\">"
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().route("/qrcode", get(page))).await
}

async fn page(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let scene = pairs.find(|(name, _)| name == "scene_id");
    match scene.and_then(|(_, value)| value.parse::<u32>().ok()) {
        Some(_) => Html(PAGE).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}
