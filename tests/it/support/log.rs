//! What this thread logs while a test listens.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};
use tracing_subscriber::layer::SubscriberExt as _;

/// The lines so far. Its clones share them.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes the lines of this thread until the guard is dropped.
    pub(crate) fn listen(&self) -> DefaultGuard {
        // Where this thread's listener is the only one, `tracing` asks the thread that comes to a
        // line first whether any subscriber wants it, and remembers a "no" for all. With a second
        // listener, deaf as it is, it asks all of them.
        set_global_default(tracing_subscriber::registry().with(LevelFilter::OFF)).ok();
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false);
        set_default(lines.with_writer(move || log.clone()).finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
