//! A batch: the events of one webhook.

use super::progress::Progress;
use crate::statistics::{EventPage, StoredEvent};

/// The most events of a batch.
pub(super) const MAX_EVENTS: usize = 100;

/// Events that are sent together. Their end is stored before they are sent: a batch that is sent
/// again, by whichever replica, has the same events and the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventBatch {
    /// The sequence number after which it begins.
    pub(super) after: u64,
    /// The last sequence number that it covers; that of its last event, or of an event of a
    /// binding.
    pub(super) end: u64,
    /// Events, none where all that was stored is of bindings.
    pub(super) events: Vec<StoredEvent>,
}

impl EventBatch {
    /// The next batch, from a page of at most [`MAX_EVENTS`] after what is delivered; none where
    /// nothing is stored after that.
    pub(super) fn next(progress: &Progress, page: EventPage) -> Option<Self> {
        let after = progress.delivered_seq;
        let is_full = page.events.len() == MAX_EVENTS;
        let last = page.events.last().filter(|_| is_full);
        let newest = last.map_or(page.last_seq, |event| event.seq);
        let end = progress.batch_end.unwrap_or(newest);
        let mut events = page.events;
        events.retain(|event| event.seq <= end);
        (end > after).then_some(Self { after, end, events })
    }

    /// Whether more events may wait after it.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() == MAX_EVENTS
    }

    /// Makes the id, the same for a batch that is sent again. The id of an event is in it because a
    /// database that is restored from a backup gives its sequence numbers again, to other events.
    pub(super) fn id(&self) -> String {
        let last = self.events.last().map_or("", |event| event.id.as_str());
        format!("scans_{}-{}_{last}", self.after, self.end)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wechat::event::EventKind;

    use super::*;

    fn progress(delivered_seq: u64, batch_end: Option<u64>) -> Progress {
        Progress {
            delivered_seq,
            batch_end,
            delivered_at: None,
            failures: 0,
            last_failure: None,
            next_attempt_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn page(seqs: impl IntoIterator<Item = u64>, last_seq: u64) -> EventPage {
        let event = |seq| StoredEvent {
            id: format!("event{seq}"),
            seq,
            at: Timestamp::UNIX_EPOCH,
            kind: EventKind::Scan,
            attribution: None,
            person: String::new(),
            openid: None,
        };
        let events = seqs.into_iter().map(event).collect();
        EventPage { events, last_seq }
    }

    #[test]
    fn a_batch_ends_with_the_page_and_a_batch_that_is_sent_again_where_it_ended() {
        let full = || page(11..=110, 400);
        for (delivered, batch_end, page, want) in [
            (0, None, page([], 0), None),
            (7, None, page([], 7), None),
            (7, None, page([8, 9], 9), Some((2, "scans_7-9_event9"))),
            // After the last one there was an event of a binding.
            (7, None, page([8, 9], 12), Some((2, "scans_7-12_event9"))),
            (7, None, page([], 12), Some((0, "scans_7-12_"))),
            (10, None, full(), Some((100, "scans_10-110_event110"))),
            (10, Some(12), full(), Some((2, "scans_10-12_event12"))),
            (10, Some(110), full(), Some((100, "scans_10-110_event110"))),
        ] {
            let got = EventBatch::next(&progress(delivered, batch_end), page);
            let got = got.map(|batch| (batch.events.len(), batch.id()));
            let want = want.map(|(events, id)| (events, id.to_owned()));
            assert_eq!(got, want, "{delivered} {batch_end:?}");
        }
    }
}
