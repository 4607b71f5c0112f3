//! Requests as bytes: what no decent client would send, sent exactly so.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::TIMEOUT;

/// An answer as it came, on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct RawAnswer {
    /// 0 where nothing came, which is an answer too.
    pub(crate) status: u16,
    /// Status line and headers, each ending in CR LF.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends bytes and reads until the service closes the connection, as `Connection: close` asks it
/// to.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // An early refusal may close the connection while the request is still being sent.
    stream.write_all(request).await.ok();
    RawAnswer::read(stream).await
}

impl RawAnswer {
    /// Reads until the service closes the connection.
    pub(crate) async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await;
        read.expect("the service closes the connection").ok();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = end.map_or((bytes, &[][..]), |at| (&bytes[..at + 2], &bytes[at + 4..]));
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head,
            body: body.to_vec(),
        }
    }

    /// The values of a header, in their order.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The names of all headers in lower case, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let lines = self.head.split("\r\n").skip(1);
        let names = lines.filter_map(|line| line.split_once(':'));
        let mut names: Vec<_> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
