//! The writer's queues, and which of the commands that wait form the next group.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::adaptive_size::AdaptiveBatchSize;
use super::command::Urgency;
use super::group::{Batch, Group};
use super::limits::MAX_GROUP;

/// The most commands of the first groups, before it is known how fast the database is.
pub(super) const FIRST_MAX_GROUP: usize = 16;

/// After a group of at least so many commands, the next group waits for more, up to
/// [`COMMIT_DELAY`].
const MIN_GATHERED: usize = 8;

/// The most commands that a group waits for. Chosen: with more of them a commit costs each hardly
/// less, and all of them wait.
const MAX_GATHERED: usize = 24;

/// The longest wait for more commands (as PostgreSQL's `commit_delay`). Chosen: about as long as a
/// commit of a fast disk, which it saves.
const COMMIT_DELAY: Duration = Duration::from_millis(2);

/// How many groups go before a background command that waits, while results of calls wait too.
/// Chosen: results are hardly delayed, and old rows are removed under any load.
const GROUPS_BEFORE_BACKGROUND: usize = 10;

/// How many commands may wait in each queue. A bound on memory: a command has a few hundred bytes.
/// Chosen: the events of two seconds when a campaign brings 500 a second.
const QUEUE: usize = 1000;

/// The sending halves of the queues.
#[derive(Debug)]
pub(super) struct Senders {
    first: Sender<Box<dyn Batch>>,
    ordinary: Sender<Box<dyn Batch>>,
    background: Sender<Box<dyn Batch>>,
}

/// The receiving halves of the queues, and what decides on the next group.
pub(super) struct Queues {
    first: Receiver<Box<dyn Batch>>,
    ordinary: Receiver<Box<dyn Batch>>,
    background: Receiver<Box<dyn Batch>>,
    /// Parts of groups that failed, so that one command that fails harms no other.
    parts: VecDeque<Group>,
    /// The most commands of the next group.
    max_group: AdaptiveBatchSize,
    /// How many the last group had.
    last_group: usize,
    /// Whether results of calls went before the next part.
    results_went: bool,
    /// How many groups there were since the last background command.
    since_background: usize,
}

pub(super) fn queues() -> (Senders, Queues) {
    let (first, first_queue) = mpsc::channel(QUEUE);
    let (ordinary, ordinary_queue) = mpsc::channel(QUEUE);
    let (background, background_queue) = mpsc::channel(QUEUE);
    let senders = Senders {
        first,
        ordinary,
        background,
    };
    let queues = Queues {
        first: first_queue,
        ordinary: ordinary_queue,
        background: background_queue,
        parts: VecDeque::new(),
        max_group: AdaptiveBatchSize::new(FIRST_MAX_GROUP, MAX_GROUP),
        last_group: 0,
        results_went: false,
        since_background: 0,
    };
    (senders, queues)
}

impl Senders {
    /// Queues a command, once its queue has room.
    ///
    /// # Errors
    /// When the writer has ended.
    pub(super) async fn send(
        &self,
        batch: Box<dyn Batch>,
    ) -> Result<(), SendError<Box<dyn Batch>>> {
        let queue = match batch.urgency() {
            Urgency::First => &self.first,
            Urgency::Ordinary => &self.ordinary,
            Urgency::Background => &self.background,
        };
        queue.send(batch).await
    }

    #[cfg(test)]
    pub(super) fn is_full(&self) -> bool {
        self.ordinary.capacity() == 0
    }
}

impl Queues {
    /// Waits for the next group; none once `closing` is cancelled and nothing is left.
    pub(super) async fn next_group(&mut self, closing: &CancellationToken) -> Option<Group> {
        let group = self.compose(closing).await?;
        self.last_group = group.len();
        Some(group)
    }

    async fn compose(&mut self, closing: &CancellationToken) -> Option<Group> {
        if self.is_background_due()
            && let Ok(batch) = self.background.try_recv()
        {
            return Some(self.background_group(batch));
        }
        self.since_background = self.since_background.saturating_add(1);
        if !self.parts.is_empty() {
            return self.results_or_part();
        }
        let mut group = Group::default();
        loop {
            tokio::select! {
                biased;
                Some(batch) = self.first.recv() => { group.add(batch); break }
                Some(batch) = self.ordinary.recv() => { group.add(batch); break }
                Some(batch) = self.background.recv() => {
                    return Some(self.background_group(batch));
                }
                () = closing.cancelled(), if !self.first.is_closed() => {
                    self.first.close();
                    self.ordinary.close();
                    self.background.close();
                }
                else => return None,
            }
        }
        fill(&mut group, &mut self.first, self.max_group.get());
        fill(&mut group, &mut self.ordinary, self.max_group.get());
        if self.last_group >= MIN_GATHERED {
            self.gather(&mut group).await;
        }
        Some(group)
    }

    fn is_background_due(&self) -> bool {
        let groups_before = if self.first.is_empty() {
            1
        } else {
            GROUPS_BEFORE_BACKGROUND
        };
        self.since_background >= groups_before
    }

    /// Takes the results of calls that wait, or a part of a group that failed, in turn.
    fn results_or_part(&mut self) -> Option<Group> {
        self.results_went = !self.results_went && !self.first.is_empty();
        if !self.results_went {
            return self.parts.pop_front();
        }
        let mut group = Group::default();
        fill(&mut group, &mut self.first, self.max_group.get());
        Some(group)
    }

    /// Waits for as many commands as the last group had, [`MAX_GATHERED`] at most. Its callers come
    /// again at about the same time, and would else be spread over many small groups.
    async fn gather(&mut self, group: &mut Group) {
        let enough = self.last_group.min(MAX_GATHERED).min(self.max_group.get());
        let mut end = pin!(sleep(COMMIT_DELAY));
        while group.len() < enough {
            tokio::select! {
                biased;
                Some(batch) = self.first.recv() => group.add(batch),
                Some(batch) = self.ordinary.recv() => group.add(batch),
                () = &mut end => return,
            }
        }
    }

    fn background_group(&mut self, batch: Box<dyn Batch>) -> Group {
        self.since_background = 0;
        let mut group = Group::default();
        group.add(batch);
        group
    }

    /// Has the parts of a group that failed executed before ordinary commands, in turn with results
    /// of calls.
    pub(super) fn put_back(&mut self, parts: Vec<Group>) {
        for part in parts.into_iter().rev() {
            self.parts.push_front(part);
        }
    }

    /// Bounds the next group by how long the last one took.
    pub(super) fn adapt(&mut self, took: Duration) {
        self.max_group.adapt(took);
    }
}

/// Adds what waits in a queue, up to `max` commands in all.
fn fill(group: &mut Group, queue: &mut Receiver<Box<dyn Batch>>, max: usize) {
    while group.len() < max
        && let Ok(batch) = queue.try_recv()
    {
        group.add(batch);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};
    use tokio::time::Instant;

    use super::*;
    use crate::db::group::batch_of;
    use crate::db::url::Dialect;
    use crate::db::{Command, Error, Transaction};

    struct Ordinary;

    impl Command for Ordinary {
        type Output = ();

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            Ok(())
        }
    }

    struct First;

    impl Command for First {
        type Output = ();

        const URGENCY: Urgency = Urgency::First;

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            Ok(())
        }
    }

    async fn send(senders: &Senders, commands: usize) {
        for _ in 0..commands {
            senders.send(batch_of(Ordinary).0).await.unwrap();
        }
    }

    async fn next(queues: &mut Queues) -> usize {
        let group = queues.next_group(&CancellationToken::new()).await;
        group.unwrap().len()
    }

    #[tokio::test]
    async fn results_of_calls_and_other_commands_share_a_group() {
        let (senders, mut queues) = queues();
        send(&senders, 3).await;
        senders.send(batch_of(First).0).await.unwrap();
        assert_eq!(next(&mut queues).await, 4);
    }

    #[tokio::test]
    async fn results_of_calls_go_before_the_parts_of_a_failed_group() {
        let (senders, mut queues) = queues();
        send(&senders, 4).await;
        let failed = queues.next_group(&CancellationToken::new()).await.unwrap();
        queues.put_back(failed.halves());
        send(&senders, 1).await;
        senders.send(batch_of(First).0).await.unwrap();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            sizes.push(next(&mut queues).await);
        }
        assert_eq!(sizes, [1, 2, 2, 1]);
    }

    #[tokio::test]
    async fn parts_and_results_of_calls_alternate() {
        let (senders, mut queues) = queues();
        send(&senders, 4).await;
        let failed = queues.next_group(&CancellationToken::new()).await.unwrap();
        queues.put_back(failed.halves());
        let mut sizes = Vec::new();
        for _ in 0..4 {
            for _ in 0..3 {
                senders.send(batch_of(First).0).await.unwrap();
            }
            sizes.push(next(&mut queues).await);
        }
        assert_eq!(sizes, [3, 2, 6, 2]);
    }

    #[tokio::test]
    async fn a_group_is_no_larger_than_a_hundred() {
        let (senders, mut queues) = queues();
        for _ in 0..10 {
            queues.adapt(Duration::ZERO);
        }
        send(&senders, 150).await;
        assert_eq!(next(&mut queues).await, MAX_GROUP);
        assert_eq!(MAX_GROUP, 100);
    }

    struct Background;

    impl Command for Background {
        type Output = ();

        const URGENCY: Urgency = Urgency::Background;

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_group_of_up_to_eight_is_small_and_a_background_command_is_not() {
        let (senders, mut queues) = queues();
        let closing = CancellationToken::new();
        // Whether it is small, and whether it begins at once with SQLite and with PostgreSQL.
        let mut group = async || {
            let group = queues.next_group(&closing).await.unwrap();
            let dialects = [Dialect::Sqlite, Dialect::Postgres];
            let [sqlite, postgres] = dialects.map(|dialect| group.begins_at_once(dialect));
            (group.is_small(), sqlite, postgres)
        };
        for (commands, want) in [
            (1, (true, false, false)),
            (2, (true, true, false)),
            (8, (true, true, false)),
            (9, (false, true, true)),
        ] {
            send(&senders, commands).await;
            assert_eq!(group().await, want, "{commands}");
        }
        senders.send(batch_of(Background).0).await.unwrap();
        assert_eq!(group().await, (false, true, true));
    }

    /// Which of the next groups are background commands, while others always wait.
    async fn background_groups<C: Command>(command: fn() -> C) -> Vec<bool> {
        let (senders, mut queues) = queues();
        for _ in 0..2 {
            senders.send(batch_of(Background).0).await.unwrap();
        }
        let mut groups = Vec::new();
        while groups
            .iter()
            .filter(|is_background| **is_background)
            .count()
            < 2
        {
            assert!(groups.len() < 100, "{groups:?}");
            senders.send(batch_of(command()).0).await.unwrap();
            let group = queues.next_group(&CancellationToken::new()).await.unwrap();
            groups.push(group.is_background());
        }
        groups
    }

    #[tokio::test]
    async fn a_background_command_goes_after_one_group_or_after_ten_of_results() {
        assert_eq!(
            background_groups(|| Ordinary).await,
            [false, true, false, true]
        );
        let after_results = [[false; GROUPS_BEFORE_BACKGROUND].as_slice(), &[true]].concat();
        assert_eq!(
            background_groups(|| First).await,
            [after_results.as_slice(), &after_results].concat()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_after_a_large_one_waits_for_as_many() {
        let (senders, mut queues) = queues();
        send(&senders, MIN_GATHERED).await;
        assert_eq!(next(&mut queues).await, MIN_GATHERED);

        let started = Instant::now();
        send(&senders, 1).await;
        let mut gathering = Box::pin(next(&mut queues));
        assert!(poll!(&mut gathering).is_pending());
        send(&senders, MIN_GATHERED - 1).await;
        assert_eq!(gathering.await, MIN_GATHERED);
        assert_eq!(started.elapsed(), Duration::ZERO, "it waits no longer");

        send(&senders, 1).await;
        assert_eq!(next(&mut queues).await, 1);
        assert_eq!(started.elapsed(), COMMIT_DELAY, "it waits no longer");

        send(&senders, 1).await;
        assert_eq!(
            next(&mut queues).now_or_never(),
            Some(1),
            "the last group was small"
        );
    }
}
