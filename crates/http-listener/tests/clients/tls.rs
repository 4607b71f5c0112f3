//! TLS handshakes under limits.

use std::time::Duration;

use axum::Router;
use http_listener::{Limits, TlsConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::server::PATIENT;
use crate::waiting::TIMEOUT;

#[tokio::test]
async fn an_unfinished_handshake_misses_the_header_timeout() {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = identity.signing_key.serialize_der();
    let tls = TlsConfig::new(identity.cert.der().to_vec(), key).unwrap();
    let listener = http_listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        header_timeout: Duration::from_millis(200),
        ..PATIENT
    };
    let server = tokio::spawn(http_listener::serve_tls(
        listener,
        tls,
        Router::new(),
        limits,
        CancellationToken::new(),
    ));
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(TIMEOUT, client.read_to_end(&mut rest)).await;
        // A reset is as good an end.
        closed.expect("the connection is closed").ok();
    }
    server.abort();
}
