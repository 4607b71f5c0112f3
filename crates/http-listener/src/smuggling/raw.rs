//! Scan of the raw bytes of request heads, for ambiguities that a parsed head does not show.
//!
//! hyper takes a bare LF for a line's end, drops a `Content-Length` beside a `Transfer-Encoding`
//! and a repeated one, and cuts a fragment off the target. The scanner parses nothing else. At the
//! end of a head, hyper gives the length of its body, and so where the next head starts.

use std::mem;

use super::ambiguity::Ambiguity;

const CONTENT_LENGTH: &[u8] = b"content-length";

/// Scanner for request smuggling: reads the raw bytes of a connection along with hyper, head by
/// head. A head is judged once hyper has parsed it, which gives the length of its body.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    position: Position,
    /// Bytes behind a head that hyper has not parsed yet, so that the length of its body is
    /// unknown. hyper's own buffer holds them too, and bounds them.
    ahead: Vec<u8>,
}

#[derive(Debug)]
enum Position {
    Head(Head),
    /// Behind a head that hyper is about to parse.
    Parsing(Head),
    /// In a body of which so many bytes are left.
    Body(u64),
    /// Behind the last head of the connection.
    Last,
}

/// What was scanned of a head so far.
#[derive(Debug, Default)]
struct Head {
    /// Length in bytes.
    bytes: usize,
    line: Line,
    /// The last byte was a CR.
    after_cr: bool,
    has_request_line: bool,
    content_lengths: usize,
    ambiguity: Option<Ambiguity>,
}

/// What was scanned of the current line.
#[derive(Debug, Default)]
struct Line {
    /// Length in bytes, without the line's end.
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

impl HeadScanner {
    /// Scans the next bytes from the client.
    pub(crate) fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.position {
                Position::Head(head) => {
                    let end = head.scan(bytes);
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

    /// Judges the head that ended last, once hyper has parsed it.
    ///
    /// `body` is the length of its body in bytes. None means a chunked body, whose end cannot
    /// be seen here, so it has to be the connection's last.
    ///
    /// # Errors
    /// The head's first ambiguity.
    pub(crate) fn head_parsed(&mut self, body: Option<u64>) -> Result<(), Ambiguity> {
        let next = match body {
            None => Position::Last,
            Some(0) => Position::default(),
            Some(length) => Position::Body(length),
        };
        let Position::Parsing(head) = mem::replace(&mut self.position, next) else {
            return Err(Ambiguity::LineEnd);
        };
        let ahead = mem::take(&mut self.ahead);
        self.scan(&ahead);
        head.judge(body.is_none())
    }

    /// Returns the number of bytes received of an unfinished head.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        match &self.position {
            Position::Head(head) => head.bytes,
            // The head is complete, but a response before it is still being sent.
            Position::Parsing(head) => head.bytes + self.ahead.len(),
            Position::Body(_) | Position::Last => 0,
        }
    }
}

impl Head {
    /// Scans bytes, and returns where in them the head ends, if it does.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            self.bytes += 1;
            if self.ends_with(*byte) {
                return Some(at + 1);
            }
        }
        None
    }

    /// Scans a byte, and returns whether it ends the head.
    fn ends_with(&mut self, byte: u8) -> bool {
        let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' => {
                if !after_cr {
                    self.note(Ambiguity::LineEnd);
                }
                return self.ends_line();
            }
            b'\r' if !after_cr => {}
            _ if after_cr => self.note(Ambiguity::LineEnd),
            _ => self.line.scan(byte),
        }
        false
    }

    /// Ends a line, and returns whether it is the empty one behind a head.
    ///
    /// Empty lines before a head are ignored (RFC 9112, 2.2).
    fn ends_line(&mut self) -> bool {
        let line = mem::take(&mut self.line);
        if line.length == 0 {
            return self.has_request_line;
        }
        if !self.has_request_line {
            self.has_request_line = true;
            if line.has_fragment {
                self.note(Ambiguity::Fragment);
            }
        } else if line.is_content_length() {
            self.content_lengths += 1;
        }
        false
    }

    fn judge(self, is_chunked: bool) -> Result<(), Ambiguity> {
        if let Some(ambiguity) = self.ambiguity {
            return Err(ambiguity);
        }
        match (self.content_lengths, is_chunked) {
            (0, _) | (1, false) => Ok(()),
            _ => Err(Ambiguity::Lengths),
        }
    }

    fn note(&mut self, ambiguity: Ambiguity) {
        self.ambiguity.get_or_insert(ambiguity);
    }
}

impl Line {
    fn scan(&mut self, byte: u8) {
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

    /// Judges the first head, with a body of the given length.
    fn judged(bytes: &[u8], body: Option<u64>) -> Result<(), Ambiguity> {
        let mut scanner = HeadScanner::default();
        scanner.scan(bytes);
        scanner.head_parsed(body)
    }

    #[test]
    fn ambiguous_heads_are_refused_however_their_bytes_are_split() {
        let no_body = Some(0);
        for (head, body, want) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", no_body, Ok(())),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", no_body, Ok(())),
            (
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                no_body,
                Err(Ambiguity::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\n\r\n",
                no_body,
                Err(Ambiguity::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\n\n",
                no_body,
                Err(Ambiguity::LineEnd),
            ),
            ("\nGET / HTTP/1.1\r\n\r\n", no_body, Err(Ambiguity::LineEnd)),
            ("GET / HTTP/1.1\n\n", no_body, Err(Ambiguity::LineEnd)),
            (
                "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
                no_body,
                Err(Ambiguity::LineEnd),
            ),
            (
                "GET / HTTP/1.1\r\nX: a\r\r\n\r\n",
                no_body,
                Err(Ambiguity::LineEnd),
            ),
            (
                "GET /#a HTTP/1.1\r\n\r\n",
                no_body,
                Err(Ambiguity::Fragment),
            ),
            ("GET / HTTP/1.1\r\nX: #a\r\n\r\n", no_body, Ok(())),
            ("P / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", no_body, Ok(())),
            ("P / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", Some(1), Ok(())),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\nCONTENT-LENGTH: 1\r\n\r\n",
                Some(1),
                Err(Ambiguity::Lengths),
            ),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
                None,
                Err(Ambiguity::Lengths),
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
            let mut scanner = HeadScanner::default();
            for byte in head.bytes() {
                scanner.scan(&[byte]);
            }
            assert_eq!(scanner.head_parsed(body), want, "{head:?} byte by byte");
        }
    }

    #[test]
    fn pipelined_heads_are_judged_one_by_one() {
        let (good, bad) = ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\r\n");
        let mut scanner = HeadScanner::default();
        // The body's LF are its own.
        scanner.scan(format!("{good}\n\n\n{good}{bad}G").as_bytes());
        assert_eq!(scanner.head_parsed(Some(3)), Ok(()));
        assert_eq!(scanner.head_parsed(Some(0)), Ok(()));
        assert_eq!(scanner.head_parsed(Some(0)), Err(Ambiguity::LineEnd));
        assert_eq!(scanner.unfinished_bytes(), 1);
        scanner.scan(b"ET");
        assert_eq!(scanner.unfinished_bytes(), 3);
    }

    #[test]
    fn nothing_is_scanned_behind_a_chunked_body() {
        let mut scanner = HeadScanner::default();
        scanner.scan(b"P / HTTP/1.1\r\n\r\n0\r\n\r\nGET /\n");
        assert_eq!(scanner.head_parsed(None), Ok(()));
        assert_eq!(scanner.unfinished_bytes(), 0);
    }
}
