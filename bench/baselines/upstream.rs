//! A WeChat that is never the bottleneck of a measurement: it hands out tokens and codes, keeps
//! nothing, and counts what it created.
//!
//! `upstream PORT`

use std::sync::atomic::{AtomicU64, Ordering};

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

static CREATED: AtomicU64 = AtomicU64::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let router = Router::new()
        .route("/cgi-bin/token", get(token))
        .route("/cgi-bin/stable_token", post(token))
        .route("/cgi-bin/qrcode/create", post(create))
        .route("/created", get(created));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await
}

async fn token() -> Json<Value> {
    Json(json!({"access_token": "token-of-the-measurement", "expires_in": 7200}))
}

/// Grants the lifetime that was asked for.
async fn create(body: String) -> Json<Value> {
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut code = json!({
        "ticket": format!("gQE08DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy{number:032}"),
        "url": format!("http://weixin.qq.com/q/02{number:020}"),
    });
    if let Some(seconds) = asked.get("expire_seconds") {
        code["expire_seconds"] = seconds.clone();
    }
    Json(code)
}

async fn created() -> String {
    CREATED.load(Ordering::Relaxed).to_string()
}
