//! Watches the raw bytes of request heads for what hyper accepts and a proxy in front could read differently (request
//! smuggling). hyper hands over a parsed head, in which none of this can be seen any more: it takes a bare LF for a line's
//! end, drops a `Content-Length` beside a `Transfer-Encoding` and a repeated one, and cuts a fragment off the target.
//!
//! The watcher parses nothing else. Where a head ends, hyper says how long its body is, and so where the next head begins.

use std::mem;

use super::fault::Fault;

const CONTENT_LENGTH: &[u8] = b"content-length";

/// Follows the bytes of one connection from head to head.
#[derive(Debug, Default)]
pub(super) struct HeadWatcher {
    position: Position,
    /// Bytes behind a head of whose body hyper has yet to say the length. hyper has them in its own buffer too, which bounds
    /// them.
    ahead: Vec<u8>,
}

#[derive(Debug)]
enum Position {
    Head(Head),
    /// Behind a head that hyper is about to parse.
    Parsing(Head),
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// Behind the last head of the connection.
    Last,
}

/// What was seen of a head so far.
#[derive(Debug, Default)]
struct Head {
    /// Bytes that have come of it.
    bytes: usize,
    line: Line,
    /// The last byte was a CR.
    after_cr: bool,
    has_request_line: bool,
    content_lengths: usize,
    fault: Option<Fault>,
}

/// What matters of the line that comes.
#[derive(Debug, Default)]
struct Line {
    /// Bytes without the line's end.
    length: usize,
    /// Whether all bytes so far are those of `Content-Length`.
    is_content_length: bool,
    has_colon: bool,
    has_fragment: bool,
}

impl Default for Position {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl HeadWatcher {
    /// Bytes came from the client, in their order.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.position {
                Position::Head(head) => {
                    let end = head.received(bytes);
                    if let Some(end) = end {
                        self.position = Position::Parsing(mem::take(head));
                        bytes = &bytes[end..];
                    } else {
                        return;
                    }
                }
                Position::Parsing(_) => {
                    self.ahead.extend_from_slice(bytes);
                    return;
                }
                Position::Body(left) => {
                    let here = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    bytes = &bytes[here..];
                    if *left == 0 {
                        self.position = Position::default();
                    }
                }
                Position::Last => return,
            }
        }
    }

    /// hyper has parsed the head that ended last. `body` is the length of its body in bytes, none for a chunked one: where
    /// that ends cannot be seen here, so it has to be the connection's last.
    ///
    /// # Errors
    /// What a proxy could have read differently in the head.
    pub(super) fn parsed(&mut self, body: Option<u64>) -> Result<(), Fault> {
        let next = match body {
            None => Position::Last,
            Some(0) => Position::default(),
            Some(length) => Position::Body(length),
        };
        let Position::Parsing(head) = mem::replace(&mut self.position, next) else {
            return Err(Fault::LineEnd);
        };
        let ahead = mem::take(&mut self.ahead);
        self.received(&ahead);
        head.verdict(body.is_none())
    }

    /// How many bytes have come of a head that is not whole.
    pub(super) fn unfinished(&self) -> usize {
        match &self.position {
            Position::Head(head) => head.bytes,
            // Its head is whole, but a request before it is still being answered.
            Position::Parsing(head) => head.bytes + self.ahead.len(),
            Position::Body(_) | Position::Last => 0,
        }
    }
}

impl Head {
    /// Where it ends in these bytes, if it does.
    fn received(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            self.bytes += 1;
            if self.ends_with(*byte) {
                return Some(at + 1);
            }
        }
        None
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' => {
                if !after_cr {
                    self.blame(Fault::LineEnd);
                }
                return self.ends_line();
            }
            b'\r' if !after_cr => {}
            _ if after_cr => self.blame(Fault::LineEnd),
            _ => self.line.received(byte),
        }
        false
    }

    /// True if the line is the empty one behind a head. Empty lines before a head mean nothing (RFC 9112, 2.2).
    fn ends_line(&mut self) -> bool {
        let line = mem::take(&mut self.line);
        if line.length == 0 {
            return self.has_request_line;
        }
        if !self.has_request_line {
            self.has_request_line = true;
            if line.has_fragment {
                self.blame(Fault::Fragment);
            }
        } else if line.is_content_length() {
            self.content_lengths += 1;
        }
        false
    }

    fn verdict(self, is_chunked: bool) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match (self.content_lengths, is_chunked) {
            (0, _) | (1, false) => Ok(()),
            _ => Err(Fault::Lengths),
        }
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

impl Line {
    fn received(&mut self, byte: u8) {
        self.has_fragment |= byte == b'#';
        if !self.has_colon {
            if byte == b':' {
                self.has_colon = true;
                self.is_content_length &= self.length == CONTENT_LENGTH.len();
            } else {
                let expected = CONTENT_LENGTH.get(self.length);
                let is_expected = expected == Some(&byte.to_ascii_lowercase());
                self.is_content_length =
                    is_expected && (self.is_content_length || self.length == 0);
            }
        }
        self.length += 1;
    }

    fn is_content_length(&self) -> bool {
        self.has_colon && self.is_content_length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the first head, whose body is as long as that.
    fn judged(bytes: &[u8], body: Option<u64>) -> Result<(), Fault> {
        let mut watcher = HeadWatcher::default();
        watcher.received(bytes);
        watcher.parsed(body)
    }

    #[test]
    fn a_head_is_judged_by_its_bytes_however_they_come() {
        let no_body = Some(0);
        for (head, body, want) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", no_body, Ok(())),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", no_body, Ok(())),
            (
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                no_body,
                Err(Fault::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\n\r\n",
                no_body,
                Err(Fault::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\n\n",
                no_body,
                Err(Fault::LineEnd),
            ),
            ("\nGET / HTTP/1.1\r\n\r\n", no_body, Err(Fault::LineEnd)),
            ("GET / HTTP/1.1\n\n", no_body, Err(Fault::LineEnd)),
            (
                "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
                no_body,
                Err(Fault::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nX: a\r\r\n\r\n",
                no_body,
                Err(Fault::LineEnd),
            ),
            ("GET /#a HTTP/1.1\r\n\r\n", no_body, Err(Fault::Fragment)),
            ("GET / HTTP/1.1\r\nX: #a\r\n\r\n", no_body, Ok(())),
            ("P / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", no_body, Ok(())),
            ("P / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", Some(1), Ok(())),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\nCONTENT-LENGTH: 1\r\n\r\n",
                Some(1),
                Err(Fault::Lengths),
            ),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
                None,
                Err(Fault::Lengths),
            ),
            ("P / HTTP/1.1\r\n\r\n", None, Ok(())),
            (
                "P / HTTP/1.1\r\nContent-Lengt: 1\r\nContent-Lengthy: 1\r\n\r\n",
                None,
                Ok(()),
            ),
            (
                "P / HTTP/1.1\r\nX-Content-Length: 1\r\nX: Content-Length:\r\n\r\n",
                None,
                Ok(()),
            ),
        ] {
            assert_eq!(judged(head.as_bytes(), body), want, "{head:?} at once");
            let mut watcher = HeadWatcher::default();
            for byte in head.bytes() {
                watcher.received(&[byte]);
            }
            assert_eq!(watcher.parsed(body), want, "{head:?} byte by byte");
        }
    }

    #[test]
    fn each_head_of_a_connection_is_judged_alone() {
        let (good, bad) = ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\r\n");
        let mut watcher = HeadWatcher::default();
        // The body's LF are its own.
        watcher.received(format!("{good}\n\n\n{good}{bad}G").as_bytes());
        assert_eq!(watcher.parsed(Some(3)), Ok(()));
        assert_eq!(watcher.parsed(Some(0)), Ok(()));
        assert_eq!(watcher.parsed(Some(0)), Err(Fault::LineEnd));
        assert_eq!(watcher.unfinished(), 1);
        watcher.received(b"ET");
        assert_eq!(watcher.unfinished(), 3);
    }

    #[test]
    fn behind_a_chunked_body_nothing_is_looked_at() {
        let mut watcher = HeadWatcher::default();
        watcher.received(b"P / HTTP/1.1\r\n\r\n0\r\n\r\nGET /\n");
        assert_eq!(watcher.parsed(None), Ok(()));
        assert_eq!(watcher.unfinished(), 0);
    }
}
