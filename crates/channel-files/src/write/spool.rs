//! A text that is kept, compressed, until the archive takes it.

use std::fmt;
use std::io::{Cursor, Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Why writing and reading cannot fail.
const IN_MEMORY: &str = "what was compressed in memory is there";

/// The bytes of a piece. Chosen.
const PIECE: usize = 64 * 1024;

/// A text that is kept compressed, because the files of an archive are written one after another.
pub struct Spool(DeflateEncoder<Vec<u8>>);

impl Spool {
    /// An empty text.
    pub fn new() -> Self {
        Self(DeflateEncoder::new(Vec::new(), Compression::fast()))
    }

    /// Adds to the text.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect(IN_MEMORY);
    }

    /// The text, in pieces.
    pub fn into_pieces(self) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
        let compressed = self.0.finish().expect(IN_MEMORY);
        let mut text = DeflateDecoder::new(Cursor::new(compressed));
        std::iter::from_fn(move || {
            let mut piece = Vec::with_capacity(PIECE);
            let part = (&mut text).take(PIECE as u64).read_to_end(&mut piece);
            let bytes = part.expect(IN_MEMORY);
            (bytes > 0).then_some(piece)
        })
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_in_pieces() {
        for lines in [0, 1, 100_000] {
            let (mut spool, mut text) = (Spool::new(), String::new());
            for n in 0..lines {
                let line = format!("南京路店 {n},上海\r\n");
                spool.write(line.as_bytes());
                text.push_str(&line);
            }
            let pieces: Vec<_> = spool.into_pieces().collect();
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            assert!(pieces.concat() == text.as_bytes(), "{lines} lines");
        }
    }
}
