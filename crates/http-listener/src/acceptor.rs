//! Admission of connections: accepts them and finds each a slot.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::budget::ByteBudget;
use crate::connection::Slot;
use crate::limits::Limits;
use crate::rate_limited_log::RateLimitedLog;
use crate::slots::ConnectionSlots;

/// Pause after a failed accept: no busy loop while files are short, and 100 tries a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Accepts connections and assigns connection slots to them.
pub(crate) struct Acceptor {
    listener: TcpListener,
    limits: Limits,
    slots: Arc<ConnectionSlots>,
    /// Budget of unfinished heads.
    head_budget: ByteBudget,
    accept_failures: RateLimitedLog,
    full: RateLimitedLog,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self {
            listener,
            limits,
            slots: Arc::new(ConnectionSlots::new(limits.max_connections)),
            head_budget: ByteBudget::new(limits.max_unfinished_head_bytes),
            accept_failures: RateLimitedLog::default(),
            full: RateLimitedLog::default(),
        }
    }

    /// Accepts the next connection.
    ///
    /// Where the process has no file left for it, evicts the slowest client and tries again.
    pub(crate) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.accept_failures.is_due() {
                        tracing::warn!(%error, "connections cannot be accepted; the slowest ones are closed instead");
                    }
                    self.slots.evict_slowest();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Acquires a slot for an accepted connection, by eviction if need be. Cancel safe.
    pub(crate) async fn acquire_slot(&mut self, abort: CancellationToken) -> Slot {
        let free = self.slots.try_acquire();
        if free.is_none() && self.full.is_due() {
            tracing::warn!(
                connections = self.limits.max_connections,
                "all connections are taken; each new one closes the slowest one"
            );
        }
        let permit = match free {
            Some(permit) => permit,
            None => self.slots.acquire_by_eviction().await,
        };
        Slot::new(permit, &self.slots, &self.head_budget, self.limits, abort)
    }
}

/// Returns whether a failed accept is about the client alone, which left before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
