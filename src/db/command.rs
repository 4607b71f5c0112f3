//! Commands: the writes that features hand to the writer.

use std::any::Any;
use std::mem;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::Error;
use super::limits::ACQUIRE_TIMEOUT;
use super::transaction::Transaction;

/// A write, which the writer executes in one transaction with all that wait beside it.
///
/// It changes nothing but by that transaction, because it may be executed twice: where one command
/// of a group fails, the transaction is rolled back, and each command of the group gets a
/// transaction of its own. An output is dropped if its transaction fails or its caller has left, so
/// one that holds something gives it back then.
pub(crate) trait Command: Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// Which queue it waits in.
    const URGENCY: Urgency = Urgency::Ordinary;

    /// Executes the command.
    fn execute(
        &self,
        write: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// A command with statements that take many rows: those that wait together are executed together.
pub(crate) trait BatchCommand: Send + Sync + Sized + 'static {
    /// What each caller gets.
    type Output: Send + 'static;

    /// Which queue it waits in.
    const URGENCY: Urgency = Urgency::Ordinary;

    /// Executes commands in the order in which they came; the outcome of each, in the same order.
    fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Output>, Error>> + Send;
}

impl<C: Command> BatchCommand for C {
    type Output = C::Output;

    const URGENCY: Urgency = C::URGENCY;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Self::Output>, Error> {
        let mut outputs = Vec::with_capacity(commands.len());
        for command in commands {
            outputs.push(command.execute(write).await?);
        }
        Ok(outputs)
    }
}

/// Which of the waiting commands are executed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Fails at once while the database is down.
    Ordinary,
    /// Goes before ordinary ones, and is tried also while the database is down: it writes the
    /// result of a call to WeChat, which would be lost, or checks the health.
    First,
}

/// Commands of one type with their callers; the type itself is erased.
pub(super) trait Batch: Any + Send {
    fn len(&self) -> usize;

    fn urgency(&self) -> Urgency;

    /// Drops the commands whose callers have left, and refuses those that waited for longer than
    /// [`ACQUIRE_TIMEOUT`]. Says whether there were any of these.
    fn drop_overdue(&mut self) -> bool;

    /// Takes over the commands of a batch of the same type. Says whether it was.
    fn absorb(&mut self, other: &mut dyn Batch) -> bool;

    /// Executes the commands, and keeps the outputs for [`Batch::reply`].
    fn execute<'a>(
        &'a mut self,
        write: &'a mut Transaction<'_>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// One batch for each command.
    fn split(&mut self) -> Vec<Box<dyn Batch>>;

    /// Gives each caller its output, or all of them the error.
    fn reply(&mut self, result: Result<(), Error>);
}

/// Where a caller waits for its output.
pub(super) type Reply<T> = oneshot::Receiver<Result<T, Error>>;

struct Pending<C: BatchCommand> {
    commands: Vec<C>,
    callers: Vec<Caller<C::Output>>,
    outputs: Vec<C::Output>,
}

struct Caller<T> {
    sender: oneshot::Sender<Result<T, Error>>,
    queued_at: Instant,
}

/// A batch of one command.
pub(super) fn batch_of<C: BatchCommand>(command: C) -> (Box<dyn Batch>, Reply<C::Output>) {
    let (sender, reply) = oneshot::channel();
    let caller = Caller {
        sender,
        queued_at: Instant::now(),
    };
    let batch = Pending {
        commands: vec![command],
        callers: vec![caller],
        outputs: Vec::new(),
    };
    (Box::new(batch), reply)
}

impl<C: BatchCommand> Batch for Pending<C> {
    fn len(&self) -> usize {
        self.commands.len()
    }

    fn urgency(&self) -> Urgency {
        C::URGENCY
    }

    fn drop_overdue(&mut self) -> bool {
        let commands = mem::take(&mut self.commands).into_iter();
        let callers = mem::take(&mut self.callers).into_iter();
        let awaited = commands
            .zip(callers)
            .filter(|(_, caller)| !caller.sender.is_closed());
        let (in_time, overdue): (Vec<_>, Vec<_>) =
            awaited.partition(|(_, caller)| caller.queued_at.elapsed() <= ACQUIRE_TIMEOUT);
        (self.commands, self.callers) = in_time.into_iter().unzip();
        let is_crowded = !overdue.is_empty();
        for (_, caller) in overdue {
            caller.sender.send(Err(Error::Busy)).ok();
        }
        is_crowded
    }

    fn absorb(&mut self, other: &mut dyn Batch) -> bool {
        let other: &mut dyn Any = other;
        let Some(same) = other.downcast_mut::<Self>() else {
            return false;
        };
        self.commands.append(&mut same.commands);
        self.callers.append(&mut same.callers);
        true
    }

    fn execute<'a>(
        &'a mut self,
        write: &'a mut Transaction<'_>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.outputs = C::execute_all(&self.commands, write).await?;
            Ok(())
        })
    }

    fn split(&mut self) -> Vec<Box<dyn Batch>> {
        let commands = mem::take(&mut self.commands).into_iter();
        let callers = mem::take(&mut self.callers).into_iter();
        let singles = commands.zip(callers).map(|(command, caller)| {
            let single = Self {
                commands: vec![command],
                callers: vec![caller],
                outputs: Vec::new(),
            };
            Box::new(single) as Box<dyn Batch>
        });
        singles.collect()
    }

    fn reply(&mut self, result: Result<(), Error>) {
        let callers = mem::take(&mut self.callers);
        match result {
            Ok(()) => {
                let outputs = mem::take(&mut self.outputs);
                debug_assert_eq!(outputs.len(), callers.len(), "an output for each command");
                for (caller, output) in callers.into_iter().zip(outputs) {
                    // A caller that has left drops its output, which may undo it.
                    caller.sender.send(Ok(output)).ok();
                }
            }
            Err(error) => {
                for caller in callers {
                    caller.sender.send(Err(error.clone())).ok();
                }
            }
        }
    }
}
