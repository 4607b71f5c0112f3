//! Strangers send what a proxy in front could read as another request, or as two (request
//! smuggling).

use crate::support::app::TestApp;
use crate::support::raw::send;

/// Placed where a careless parser begins the next request, and would answer it.
const SMUGGLED: &str = "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const GET: &str = "GET /healthz HTTP/1.1\r\n";
const POST: &str = "POST /healthz HTTP/1.1\r\nHost: a\r\n";

fn get(rest: &str) -> String {
    format!("{GET}{rest}")
}

fn post(rest: &str) -> String {
    format!("{POST}{rest}")
}

/// Each is 400 and the end of its connection.
async fn are_refused(requests: &[String]) {
    let app = TestApp::spawn().await;
    for request in requests {
        let answer = send(app.address, format!("{request}{SMUGGLED}").as_bytes()).await;
        assert_eq!(answer.status, 400, "{request:?}: {answer:?}");
        // hyper's own 400 has no body, and ours has one line.
        assert!(
            !answer.text().contains("HTTP/1.1"),
            "{request:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn request_smuggling_by_what_a_proxy_could_read_differently_is_refused() {
    are_refused(&[
        // Lines that end in less than CR LF, or in more.
        "GET /healthz HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET /healthz HTTP/1.1\nHost: a\r\n\r\n".to_owned(),
        get("Host: a\n\r\n"),
        get("Host: a\r\n\n"),
        get("Host: a\r\nX: b\nY: c\r\n\r\n"),
        get("Host: a\rX: b\r\n\r\n"),
        get("Host: a\r\nX: b\r\r\n\r\n"),
        "\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        get("Host: a\r\nX: b\r\n c\r\n\r\n"),
        get("Host: a\r\n\tX: b\r\n\r\n"),
        get(" X: b\r\nHost: a\r\n\r\n"),
        // Names and values of headers.
        get("Host : a\r\n\r\n"),
        get("Host: a\r\nX : b\r\n\r\n"),
        get("Host: a\r\nX\t: b\r\n\r\n"),
        get("Host: a\r\n: b\r\n\r\n"),
        get("Host: a\r\nX\r\n\r\n"),
        get("Host: a\r\nX Y: b\r\n\r\n"),
        get("Host: a\r\nX\0: b\r\n\r\n"),
        get("Host: a\r\nX: b\0c\r\n\r\n"),
        get("Host: a\r\nX: b\x0bc\r\n\r\n"),
        get("Host: a\r\nX: b\x7fc\r\n\r\n"),
        // Which host.
        get("\r\n"),
        get("X-Host: a\r\n\r\n"),
        get("Host: a\r\nHost: a\r\n\r\n"),
        get("Host: a\r\nhOST: b\r\n\r\n"),
        "GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.0\r\nHost: a b\r\n\r\n".to_owned(),
        get("Host:\r\n\r\n"),
        get("Host: \t\r\n\r\n"),
        get("Host: a b\r\n\r\n"),
        get("Host: a, b\r\n\r\n"),
        get("Host: a/b\r\n\r\n"),
        get("Host: a@b\r\n\r\n"),
        get("Host: a?b\r\n\r\n"),
        get("Host: a#b\r\n\r\n"),
        get("Host: a\\b\r\n\r\n"),
        get("Host: <a>\r\n\r\n"),
        get("Host: http://a\r\n\r\n"),
        get("Host: a:b\r\n\r\n"),
        get("Host: a:80:80\r\n\r\n"),
        get("Host: a:65536\r\n\r\n"),
        get("Host: [::1\r\n\r\n"),
        get("Host: ::1\r\n\r\n"),
        get("Host: 例\r\n\r\n"),
        "GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://a:81/healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://a/healthz HTTP/1.1\r\nHost: a:81\r\n\r\n".to_owned(),
        "GET http://b@a/healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://a/healthz HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        // The request line.
        "GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz  HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET\t/healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        " GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz http/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz#a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz?a=b#c HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz?a=\x7f HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz?a=\x01 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz?a=\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ])
    .await;
}

#[tokio::test]
async fn request_smuggling_by_the_length_of_a_body_is_refused() {
    are_refused(&[
        post("Content-Length: 1\r\nContent-Length: 2\r\n\r\na"),
        post("Content-Length: 1\r\ncontent-length: 1\r\n\r\na"),
        post("Content-Length: 1, 1\r\n\r\na"),
        post("Content-Length:\r\n\r\n"),
        post("Content-Length: +1\r\n\r\na"),
        post("Content-Length: 1 1\r\n\r\na"),
        post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: identity\r\n\r\n"),
        post("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding:\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        "POST /healthz HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "POST /healthz HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
    ])
    .await;
}

#[tokio::test]
async fn what_clients_and_proxies_send_is_not_taken_for_smuggling() {
    let app = TestApp::spawn().await;
    let chinese = "中文";
    for (request, want) in [
        // A health check without Host, as load balancers send it.
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200),
        (
            "GET /healthz HTTP/1.0\r\nConnection: close\r\nHost: a\r\n\r\n".to_owned(),
            200,
        ),
        (
            get("Host: 127.0.0.1:8080\r\nConnection: close\r\n\r\n"),
            200,
        ),
        (get("Host: [::1]:8080\r\nConnection: close\r\n\r\n"), 200),
        (get("Host: Example.COM.\r\nConnection: close\r\n\r\n"), 200),
        (
            get("Host: wxqr_service-1\r\nConnection: close\r\n\r\n"),
            200,
        ),
        (get("Host:a\r\nConnection: close\r\n\r\n"), 200),
        (get("Host: a  \r\nConnection: close\r\n\r\n"), 200),
        // Values in another encoding, and empty ones.
        (
            get("Host: a\r\nX: \u{4e2d}\r\nY:\r\nConnection: close\r\n\r\n"),
            200,
        ),
        // Some clients end a body with one more line end.
        (
            format!("\r\n{GET}Host: a\r\nConnection: close\r\n\r\n"),
            200,
        ),
        // As to a proxy.
        (
            "GET http://a/healthz HTTP/1.1\r\nHost: A\r\nConnection: close\r\n\r\n".to_owned(),
            200,
        ),
        (
            "GET http://a:80/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            200,
        ),
        ("GET http://a/healthz HTTP/1.0\r\n\r\n".to_owned(), 200),
        // As curl and browsers send what was typed.
        (
            format!(
                "GET /qrcode.json?scene_str={chinese} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            ),
            200,
        ),
        (
            "GET /qrcode.json?scene_str=a\\b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                .to_owned(),
            200,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            404,
        ),
        // A body that is not wanted, in every form that it may have.
        (post("Content-Length: 0\r\nConnection: close\r\n\r\n"), 405),
        (
            post("Content-Length: 005\r\nConnection: close\r\n\r\nhello"),
            405,
        ),
        (post("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 405),
        (
            post("Transfer-Encoding:  Chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            405,
        ),
        (
            post("Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nhello"),
            405,
        ),
        // An offer of another protocol, as curl --http2 makes it, is not taken.
        (
            get(
                "Host: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            ),
            200,
        ),
    ] {
        let answer = send(app.address, request.as_bytes()).await;
        assert_eq!(answer.status, want, "{request:?}: {answer:?}");
    }
}
