//! The slot that a connection occupies.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::state::ConnectionState;
use crate::budget::ByteBudget;
use crate::limits::Limits;
use crate::slots::ConnectionSlots;

/// A connection slot with the state of its connection. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Arc<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Opens a connection, which waits for a head. `abort` is cancelled to end it.
    pub(crate) fn new(
        permit: OwnedSemaphorePermit,
        slots: &Arc<ConnectionSlots>,
        head_budget: &ByteBudget,
        limits: Limits,
        abort: CancellationToken,
    ) -> Self {
        let state = ConnectionState::new(Arc::clone(slots), head_budget.clone(), limits, abort);
        Self {
            state: Arc::new(state),
            _permit: permit,
        }
    }

    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.closed();
    }
}
