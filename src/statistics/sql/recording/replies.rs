//! The receipts of recorded events: which were new, and what their followers read.

use std::collections::HashMap;

use wechat::push::Reply;

use super::{
    NewEvent, PseudonymousEvent, Receipt, Recorded, ScannedBinding, Subject, TicketTarget,
    scanned_bindings,
};
use crate::statistics::privacy::Person;

/// The receipts of all events of a batch, of which `new_events` were stored now.
pub(super) fn receipts(
    events: &[PseudonymousEvent<'_>],
    new_events: &[NewEvent<'_>],
    targets: &HashMap<String, TicketTarget>,
) -> Vec<Receipt> {
    let replies = Replies::new(new_events, targets);
    let receipts = events.iter().map(|event| Receipt {
        recorded: Recorded::Repeat,
        reply: replies.to(event).cloned(),
    });
    let mut receipts: Vec<_> = receipts.collect();
    for event in new_events {
        let binding = match &event.about {
            Subject::Own(Some(binding)) => Some(binding.id.clone()),
            _ => None,
        };
        receipts[event.index].recorded = Recorded::New { binding };
    }
    receipts
}

/// The replies to the followers of a batch.
struct Replies<'a> {
    targets: &'a HashMap<String, TicketTarget>,
    /// Who first scanned each binding in this batch.
    first_scanners: HashMap<&'a str, &'a Person>,
}

impl<'a> Replies<'a> {
    fn new(new_events: &'a [NewEvent<'a>], targets: &'a HashMap<String, TicketTarget>) -> Self {
        let scans = scanned_bindings(new_events).into_iter();
        Self {
            targets,
            first_scanners: scans
                .map(|(binding, event)| (binding, &event.pseudonymous.person))
                .collect(),
        }
    }

    /// Returns the reply to the follower. That of a binding is for the first scanner only.
    fn to(&self, event: &PseudonymousEvent<'_>) -> Option<&'a Reply> {
        let target = self.targets.get(event.ticket()?)?;
        let is_for_follower = match &target.binding {
            Some(binding) => self.first_scanner(binding) == Some(&event.person),
            None => true,
        };
        target.reply.as_ref().filter(|_| is_for_follower)
    }

    fn first_scanner(&self, binding: &'a ScannedBinding) -> Option<&'a Person> {
        let now = || self.first_scanners.get(binding.id.as_str()).copied();
        binding.scanned_by.as_ref().or_else(now)
    }
}
