//! The bounds that the user of a listener decides.

use std::time::Duration;

use crate::open_files;

/// Bounds on the connections of a listener: number, time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections, at least 1.
    ///
    /// With all of them in use, a new connection evicts the slowest one; while every request is
    /// being handled, it waits.
    pub max_connections: usize,
    /// Time for the head of a request, from the connection or from a further request's first byte.
    pub header_timeout: Duration,
    /// Time for the body of a request, from the end of the head, at whatever rate it comes.
    pub body_timeout: Duration,
    /// Time from the end of the head before `min_body_rate` applies.
    pub body_grace: Duration,
    /// Minimum average rate of a body, in bytes a second, at least 1.
    pub min_body_rate: u32,
    /// Time for the client to take a response, from its first byte, and the longest time in which
    /// it takes none of it.
    pub write_timeout: Duration,
    /// Average rate, in bytes a second and at least 1, at which a client may take longer over a
    /// response than `write_timeout`: for so many bytes, the deadline moves by one second.
    pub min_write_rate: u32,
    /// Time that a connection is kept alive between a response and the next request.
    pub idle_timeout: Duration,
    /// Maximum size of a request line and headers together, in bytes; larger heads are a bare 431.
    pub max_head_bytes: usize,
    /// Byte budget of unfinished heads, over all connections.
    ///
    /// The first 8 KiB of each are not counted: hyper reserves them for every connection.
    pub max_unfinished_head_bytes: usize,
}

impl Limits {
    /// Lowers `max_connections` to what the process's limit of open files allows, less a reserve of
    /// `reserved` files for other uses.
    ///
    /// Raises the soft limit first, as far as needed and as the hard limit allows. Connections get
    /// at least half of the files.
    #[must_use]
    pub fn within_open_files(self, reserved: u64) -> Self {
        Self {
            max_connections: open_files::affordable(self.max_connections, reserved),
            ..self
        }
    }
}
