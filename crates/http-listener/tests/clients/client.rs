//! A client that speaks HTTP/1.1 byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::waiting::TIMEOUT;

/// Pause between two bytes of a dripping client.
pub(crate) const DRIP: Duration = Duration::from_millis(20);

/// Bodies that hyper drains only after the response, if the handler does not read them.
pub(crate) const DRAINED: [&str; 2] = [
    "Transfer-Encoding: chunked\r\n\r\n1\r\nX\r\n0\r\n\r\n",
    "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nX",
];

/// A client on a bare socket.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads the next response, whose length must be in its headers.
    pub(crate) async fn response(&mut self) -> String {
        let response = timeout(TIMEOUT, async {
            let mut response = String::new();
            while !is_whole(&response) {
                let mut byte = [0];
                let got = self.0.read(&mut byte).await.unwrap();
                assert_eq!(got, 1, "closed after {response:?}");
                response.push(byte[0].into());
            }
            response
        });
        response.await.expect("a response")
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut rest = Vec::new();
        let read = timeout(TIMEOUT, self.0.read_to_end(&mut rest)).await;
        // A client that goes on sending may see a reset instead of an end.
        read.expect("the connection is closed").ok();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Sends a byte at a time, until the server closes the connection without a response.
    pub(crate) async fn drip(mut self) {
        let (mut reader, mut writer) = self.0.split();
        let dripping = async {
            while writer.write_all(b"a").await.is_ok() {
                tokio::time::sleep(DRIP).await;
            }
        };
        let closed = async {
            let mut response = Vec::new();
            reader.read_to_end(&mut response).await.ok();
            assert_eq!(String::from_utf8_lossy(&response), "");
        };
        // Both halves are closed: writing fails too, after a reset.
        let ended = timeout(TIMEOUT, async { tokio::join!(dripping, closed) });
        ended.await.expect("the connection is closed");
    }

    /// Sends a request, and checks that its response is 200.
    pub(crate) async fn gets_a_response(&mut self) {
        self.send(GET).await;
        assert!(self.response().await.starts_with("HTTP/1.1 200 "));
    }
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    body.len() == length.parse::<usize>().unwrap()
}

/// Returns the status of a response.
pub(crate) fn status(response: &str) -> &str {
    let line = response.strip_prefix("HTTP/1.1 ").unwrap_or_default();
    line.get(..3).unwrap_or_default()
}
