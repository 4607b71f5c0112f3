//! Stores events, each once, with what they change in the statistics, and finds the replies to
//! their followers, batched in one transaction. What an event changes is counted by `tally`.
//!
//! The types of an event follow its way, each with one fact more: the day ([`DatedEvent`]), the
//! pseudonyms ([`PseudonymousEvent`]), and, of events that are new, the subject ([`NewEvent`]).

mod reading;
mod replies;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use wechat::push::Reply;
use wechat::scene::{Scene, SceneText};

use super::events::{DatedEvent, Receipt, Recorded};
use super::store::EventStore;
use crate::db::{BatchCommand, Error, Transaction};
use crate::statistics::privacy::{EventId, Person, PersonKey};
use crate::statistics::tally::{
    AttributedEvent, Attribution, DeltaBuilder, FollowerState, PriorState, StatisticsDelta,
};

impl EventStore {
    /// Stores an event, and counts it unless it was stored before. Cancel safe: a dropped call may
    /// be repeated with the same event.
    ///
    /// # Errors
    /// When the database cannot be used. Then it may not be acknowledged, although it may be
    /// stored.
    pub async fn record_event(&self, event: DatedEvent) -> Result<Receipt, Error> {
        let store = self.clone();
        self.db.execute(RecordEvent { event, store }).await
    }
}

struct RecordEvent {
    event: DatedEvent,
    store: EventStore,
}

impl BatchCommand for RecordEvent {
    type Output = Receipt;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Receipt>, Error> {
        let Some(RecordEvent { store, .. }) = commands.first() else {
            return Ok(Vec::new());
        };
        let events: Vec<_> = commands
            .iter()
            .map(|record| PseudonymousEvent::new(&record.event, &store.person_key))
            .collect();
        store.record_batch(write, &events).await
    }
}

impl EventStore {
    async fn record_batch(
        &self,
        write: &mut Transaction<'_>,
        events: &[PseudonymousEvent<'_>],
    ) -> Result<Vec<Receipt>, Error> {
        let mut recording = Recording { write };
        let found = recording.look_up(events).await?;
        let new_events = new_events(events, &found);
        if !new_events.is_empty() {
            let (first_seq, days) = recording.number(&new_events).await?;
            let people = found.people;
            let changes = count(&new_events, PriorState { people, days });
            if changes.states.values().any(|state| state.openid.is_none()) {
                // Before the commit, whose outcome may stay unknown.
                self.db.mark_erased();
            }
            recording.store(&new_events, first_seq, &changes).await?;
        }
        Ok(replies::receipts(events, &new_events, &found.targets))
    }
}

/// What the database holds for a batch of events: stored ids, targets of tickets, and states of
/// followers.
struct Found {
    /// The ids of those that are stored.
    stored: HashSet<String>,
    /// The targets of their tickets, if they are known.
    targets: HashMap<String, TicketTarget>,
    /// The state of their persons.
    people: HashMap<Person, FollowerState>,
}

/// Days on which persons scanned codes.
type ScanDays = HashMap<(Person, Attribution), BTreeSet<Date>>;

/// A transaction that records events.
struct Recording<'w, 'c> {
    write: &'w mut Transaction<'c>,
}

/// An event with its pseudonyms.
struct PseudonymousEvent<'a> {
    dated: &'a DatedEvent,
    id: EventId,
    person: Person,
}

/// An event that was not stored before, with its subject.
struct NewEvent<'a> {
    pseudonymous: &'a PseudonymousEvent<'a>,
    /// Its position in the batch.
    index: usize,
    about: Subject,
}

/// The subject of an event in the statistics.
enum Subject {
    /// Following or leaving, and no code.
    NoCode,
    /// A code that is counted.
    Code(Attribution),
    /// A code of the service's own, which is not counted: of a binding, if that is still known.
    Own(Option<ScannedBinding>),
}

/// What a ticket leads to: its code, its binding, and what a follower reads who scans it.
struct TicketTarget {
    scene: Scene,
    binding: Option<ScannedBinding>,
    reply: Option<Reply>,
}

/// A binding whose code was scanned.
#[derive(Clone)]
struct ScannedBinding {
    id: String,
    expires_at: Timestamp,
    /// Who scanned it first, and so signs in.
    scanned_by: Option<Person>,
}

impl<'a> PseudonymousEvent<'a> {
    fn new(dated: &'a DatedEvent, key: &PersonKey) -> Self {
        Self {
            dated,
            id: key.event(&dated.event),
            person: key.person(&dated.event.openid),
        }
    }

    fn ticket(&self) -> Option<&'a str> {
        let scan = self.dated.event.scan.as_ref()?;
        Some(scan.ticket.as_ref()?.as_str())
    }

    /// Finds the subject, by the targets of known tickets.
    fn about(&self, targets: &HashMap<String, TicketTarget>) -> Subject {
        let Some(scan) = &self.dated.event.scan else {
            return Subject::NoCode;
        };
        let target = self.ticket().and_then(|ticket| targets.get(ticket));
        match target {
            Some(TicketTarget {
                binding: Some(binding),
                ..
            }) => Subject::Own(Some(binding.clone())),
            _ if scan.scene.starts_with(SceneText::RESERVED_PREFIX) => Subject::Own(None),
            Some(target) => Subject::Code(Attribution::Code(target.scene.clone())),
            None => Subject::Code(Attribution::Unknown(scan.scene.clone())),
        }
    }
}

impl Subject {
    fn is_of_binding(&self) -> bool {
        matches!(self, Self::Own(Some(_)))
    }
}

impl NewEvent<'_> {
    fn at(&self) -> Timestamp {
        self.pseudonymous.dated.event.created_at
    }

    fn code(&self) -> Option<&Attribution> {
        match &self.about {
            Subject::Code(code) => Some(code),
            Subject::NoCode | Subject::Own(_) => None,
        }
    }

    /// Returns the binding that this event scanned before its end.
    fn scanned_binding(&self) -> Option<&str> {
        match &self.about {
            Subject::Own(Some(binding)) if self.at() <= binding.expires_at => Some(&binding.id),
            _ => None,
        }
    }

    fn attributed(&self) -> AttributedEvent<'_> {
        let PseudonymousEvent { dated, person, .. } = self.pseudonymous;
        AttributedEvent {
            person: person.clone(),
            openid: &dated.event.openid,
            kind: dated.event.kind,
            at: dated.event.created_at,
            day: dated.day,
            code: self.code().cloned(),
        }
    }
}

impl Recording<'_, '_> {
    async fn store(
        &mut self,
        new_events: &[NewEvent<'_>],
        first_seq: i64,
        changes: &StatisticsDelta,
    ) -> Result<(), Error> {
        // First, because with PostgreSQL it sends what is deferred in a message of its own.
        self.write_states(&changes.states).await?;
        self.write_events(new_events, first_seq).await?;
        self.write_first_touches(&changes.first_touches).await?;
        self.write_tallies(&changes.tallies).await?;
        self.write_returning(&changes.returning).await?;
        self.write_scanned_bindings(&scanned_bindings(new_events))
            .await
    }
}

/// Counts what the events change.
fn count(new_events: &[NewEvent<'_>], known: PriorState) -> StatisticsDelta {
    let mut count = DeltaBuilder::from(known);
    for event in new_events {
        count.add(&event.attributed());
    }
    count.finish()
}

/// The tickets of the scanned codes.
fn tickets<'a>(events: &'a [PseudonymousEvent<'a>]) -> BTreeSet<&'a str> {
    events
        .iter()
        .filter_map(PseudonymousEvent::ticket)
        .collect()
}

/// The events that are not stored yet, each once.
fn new_events<'a>(events: &'a [PseudonymousEvent<'a>], found: &Found) -> Vec<NewEvent<'a>> {
    let mut seen = HashSet::new();
    events
        .iter()
        .enumerate()
        .filter(|(_, one)| !found.stored.contains(one.id.as_str()) && seen.insert(&one.id))
        .map(|(index, pseudonymous)| NewEvent {
            pseudonymous,
            index,
            about: pseudonymous.about(&found.targets),
        })
        .collect()
}

/// The bindings that were scanned in time, each with the first scan of it.
fn scanned_bindings<'a>(new_events: &'a [NewEvent<'a>]) -> BTreeMap<&'a str, &'a NewEvent<'a>> {
    let mut scanned_bindings = BTreeMap::new();
    for event in new_events {
        if let Some(binding) = event.scanned_binding() {
            scanned_bindings.entry(binding).or_insert(event);
        }
    }
    scanned_bindings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn nothing_is_looked_for_without_an_index() {
        let store = EventStore::in_memory(Arc::new(SystemClock)).await;
        let key_lookup = store.db.key_lookup();
        let statements = [1, 8, 16].map(|rows| {
            [
                reading::stored_sql(key_lookup, rows),
                reading::targets_sql(key_lookup, rows),
                reading::people_sql(key_lookup, rows),
                reading::days_sql(rows),
            ]
        });
        for sql in statements.into_iter().flatten() {
            let plan = store.db.plan(sql.clone()).await;
            // The rows that are wanted, and the one that is found for each, are no table.
            let of_no_table = ["CONSTANT ROW", "wanted", "near"];
            let scans = |step: &&String| {
                let reads_all = step.starts_with("SCAN") || step.ends_with("(appid=?)");
                reads_all && !of_no_table.iter().any(|name| step.contains(name))
            };
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
        let days = store.db.plan(reading::days_sql(3)).await;
        let one_step = |end: &str| {
            let step = format!(
                "COVERING INDEX event_by_person (appid=? AND (person,kind,scene,day){end}(?,?,?,?))"
            );
            days.iter().any(|found| found.contains(&step))
        };
        assert!(one_step("<") && one_step(">"), "{days:?}");
        assert!(
            !days.iter().any(|step| step.contains("TEMP B-TREE")),
            "{days:?}"
        );
    }
}
