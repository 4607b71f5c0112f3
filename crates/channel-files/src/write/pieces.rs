//! The output of a writer, taken while it grows.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Takes what was written so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces(Arc<Mutex<Vec<u8>>>);

impl Pieces {
    /// What was written since the last call.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
