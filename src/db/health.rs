//! Whether the database is up, for all calls of the process.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::Error;
use crate::telemetry::{self, Causes};

/// Whether the database is up, and whether its file is damaged. It is down after a failure that
/// concerns every call, until a health check succeeds.
#[derive(Debug)]
pub(super) struct Health {
    is_up: AtomicBool,
    /// Whether a check found damage in SQLite's file. It does not go away by itself.
    is_damaged: AtomicBool,
}

impl Health {
    pub(super) fn up() -> Self {
        Self {
            is_up: AtomicBool::new(true),
            is_damaged: AtomicBool::new(false),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    pub(super) fn record_damage(&self) {
        self.is_damaged.store(true, Ordering::Relaxed);
        telemetry::store_damaged(true);
    }

    /// Logs a call that failed alone, and the database's own failure once.
    pub(super) fn record_failure(&self, error: &Error) {
        let error_text = Causes(error);
        if !error.is_connection_error() {
            if self.is_up() {
                tracing::warn!(error = %error_text, "a database call failed");
            }
            return;
        }
        telemetry::store_up(false);
        if self.is_up.swap(false, Ordering::Relaxed) {
            tracing::error!(error = %error_text, "the database cannot be used");
        }
    }

    /// Records that a health check succeeded after a failure.
    pub(super) fn record_recovery(&self) {
        self.is_up.store(true, Ordering::Relaxed);
        telemetry::store_up(true);
        tracing::info!("the database is back");
    }
}
