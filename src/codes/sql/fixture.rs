//! A command for tests of what a group undoes.

use crate::db::{Command, Error, Transaction};

/// Fails after what other commands of its group have done.
pub(super) struct Fails;

impl Command for Fails {
    type Output = ();

    async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
        Err(Error::BadRow("a row, for the test"))
    }
}
