//! Groups: commands of any types that are executed in one transaction.

use std::any::Any;
use std::mem;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::command::{BatchCommand, Urgency};
use super::error::Error;
use super::limits::{ACQUIRE_TIMEOUT, MAX_SMALL_GROUP};
use super::transaction::Transaction;
use super::url::Dialect;

/// Commands that are executed in one transaction (group commit), by type, results of calls first.
#[derive(Default)]
pub(super) struct Group {
    first: Vec<Box<dyn Batch>>,
    ordinary: Vec<Box<dyn Batch>>,
    commands: usize,
    is_committing: bool,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.commands
    }

    /// Marks the group as committing: from here on it may be committed, and must not be executed
    /// again.
    pub(super) fn begin_commit(&mut self) {
        self.is_committing = true;
    }

    pub(super) fn is_committing(&self) -> bool {
        self.is_committing
    }

    pub(super) fn add(&mut self, mut batch: Box<dyn Batch>) {
        self.commands += batch.len();
        let batches = match batch.urgency() {
            Urgency::First => &mut self.first,
            Urgency::Ordinary | Urgency::Background => &mut self.ordinary,
        };
        if !batches.iter_mut().any(|same| same.absorb(&mut *batch)) {
            batches.push(batch);
        }
    }

    pub(super) fn batches(&mut self) -> impl Iterator<Item = &mut Box<dyn Batch>> {
        self.first.iter_mut().chain(&mut self.ordinary)
    }

    /// Drops what is overdue, as [`Batch::drop_overdue`] does.
    pub(super) fn drop_overdue(&mut self) -> bool {
        let mut is_overloaded = false;
        for batch in self.batches() {
            is_overloaded |= batch.drop_overdue();
        }
        self.first.retain(|batch| batch.len() > 0);
        self.ordinary.retain(|batch| batch.len() > 0);
        self.commands = self.batches().map(|batch| batch.len()).sum();
        is_overloaded
    }

    /// Fails the ordinary commands, as is due while the database is down.
    pub(super) fn refuse_ordinary(&mut self) {
        for mut batch in self.ordinary.drain(..) {
            self.commands -= batch.len();
            batch.respond(Err(Error::Timeout));
        }
    }

    /// Whether its transaction begins in a message of its own, so that it waits for the lock before
    /// the deadline of its commands begins. A smaller group saves that message: it begins with its
    /// first statements, and its deadline includes the wait. With SQLite that is one command alone,
    /// because the connection caches the text of each message, 100 at most.
    pub(super) fn begins_at_once(&self, dialect: Dialect) -> bool {
        let most = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => MAX_SMALL_GROUP,
        };
        self.commands > most || self.is_background()
    }

    /// Whether it is so small that its transaction ends with the message of its last statements.
    /// After each message of it the writer yields its core to the thread of SQLite's connection.
    pub(super) fn is_small(&self) -> bool {
        self.commands <= MAX_SMALL_GROUP && !self.is_background()
    }

    /// Whether it holds background commands, which are in no group with others.
    pub(super) fn is_background(&self) -> bool {
        let first = self.ordinary.first();
        first.is_some_and(|batch| batch.urgency() == Urgency::Background)
    }

    /// Whether one of the commands has the commit wait for the disk.
    pub(super) fn is_synced(&self) -> bool {
        let mut batches = self.first.iter().chain(&self.ordinary);
        batches.any(|batch| batch.is_synced())
    }

    /// Splits into two groups with half of the commands each.
    pub(super) fn halves(self) -> Vec<Self> {
        let half = self.len().div_ceil(2);
        self.parts(half)
    }

    /// Splits into a group for each command.
    pub(super) fn singles(self) -> Vec<Self> {
        self.parts(1)
    }

    /// Splits into groups with so many of the commands each, and one with the rest.
    fn parts(mut self, size: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for command in self.batches().flat_map(|batch| batch.split()) {
            match parts.last_mut() {
                Some(part) if part.len() < size => part.add(command),
                _ => {
                    let mut part = Self::default();
                    part.add(command);
                    parts.push(part);
                }
            }
        }
        parts
    }

    /// Executes the commands, without a commit.
    pub(super) async fn execute(&mut self, write: &mut Transaction<'_>) -> Result<(), Error> {
        for batch in self.batches() {
            batch.execute(write).await?;
        }
        Ok(())
    }

    pub(super) fn respond(&mut self, result: &Result<(), Error>) {
        self.batches()
            .for_each(|batch| batch.respond(result.clone()));
    }
}

/// Commands of one type with their callers; the type itself is erased.
pub(super) trait Batch: Any + Send {
    fn len(&self) -> usize;

    fn urgency(&self) -> Urgency;

    fn is_synced(&self) -> bool;

    /// Drops the commands whose callers have left, and refuses those that waited for longer than
    /// [`ACQUIRE_TIMEOUT`]. Says whether there were any of these.
    fn drop_overdue(&mut self) -> bool;

    /// Takes over the commands of a batch of the same type. Says whether it was.
    fn absorb(&mut self, other: &mut dyn Batch) -> bool;

    /// Executes the commands, and keeps the outputs for [`Batch::respond`].
    fn execute<'a>(
        &'a mut self,
        write: &'a mut Transaction<'_>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Splits into one batch for each command.
    fn split(&mut self) -> Vec<Box<dyn Batch>>;

    /// Gives each caller its output, or all of them the error.
    fn respond(&mut self, result: Result<(), Error>);
}

/// Where a caller waits for its output.
pub(super) type OutputReceiver<T> = oneshot::Receiver<Result<T, Error>>;

struct Pending<C: BatchCommand> {
    commands: Vec<C>,
    callers: Vec<WaitingCaller<C::Output>>,
    outputs: Vec<C::Output>,
}

struct WaitingCaller<T> {
    sender: oneshot::Sender<Result<T, Error>>,
    queued_at: Instant,
}

pub(super) fn batch_of<C: BatchCommand>(command: C) -> (Box<dyn Batch>, OutputReceiver<C::Output>) {
    let (sender, output) = oneshot::channel();
    let caller = WaitingCaller {
        sender,
        queued_at: Instant::now(),
    };
    (Box::new(Pending::of_one(command, caller)), output)
}

impl<C: BatchCommand> Pending<C> {
    fn of_one(command: C, caller: WaitingCaller<C::Output>) -> Self {
        Self {
            commands: vec![command],
            callers: vec![caller],
            outputs: Vec::new(),
        }
    }
}

impl<C: BatchCommand> Batch for Pending<C> {
    fn len(&self) -> usize {
        self.commands.len()
    }

    fn urgency(&self) -> Urgency {
        C::URGENCY
    }

    fn is_synced(&self) -> bool {
        C::IS_SYNCED
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
        let is_overloaded = !overdue.is_empty();
        for (_, caller) in overdue {
            caller.sender.send(Err(Error::Busy)).ok();
        }
        is_overloaded
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
            let mut outputs = Vec::with_capacity(self.commands.len());
            for commands in write.sub_batches(&self.commands) {
                write.separate_sub_batches().await?;
                outputs.append(&mut C::execute_all(commands, write).await?);
            }
            self.outputs = outputs;
            Ok(())
        })
    }

    fn split(&mut self) -> Vec<Box<dyn Batch>> {
        let commands = mem::take(&mut self.commands).into_iter();
        let callers = mem::take(&mut self.callers).into_iter();
        let singles = commands
            .zip(callers)
            .map(|(command, caller)| Box::new(Self::of_one(command, caller)) as Box<dyn Batch>);
        singles.collect()
    }

    fn respond(&mut self, result: Result<(), Error>) {
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
