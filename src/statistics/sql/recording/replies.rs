//! The receipts of recorded events: which were new, and what their followers read.

use std::collections::HashMap;

use wechat::push::Reply;

use super::{
    NewEvent, Owner, PseudonymousEvent, Receipt, Recorded, ScannedBinding, Subject,
    claimed_bindings,
};
use crate::statistics::privacy::Person;

/// The receipts of all events of a batch, of which `fresh` were stored now.
pub(super) fn receipts(
    named: &[PseudonymousEvent<'_>],
    fresh: &[NewEvent<'_>],
    owners: &HashMap<String, Owner>,
) -> Vec<Receipt> {
    let replies = Replies::new(fresh, owners);
    let receipts = named.iter().map(|event| Receipt {
        recorded: Recorded::Repeat,
        reply: replies.to(event).cloned(),
    });
    let mut receipts: Vec<_> = receipts.collect();
    for event in fresh {
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
    owners: &'a HashMap<String, Owner>,
    /// Who claimed each binding in this batch, unless someone did before.
    claimants: HashMap<&'a str, &'a Person>,
}

impl<'a> Replies<'a> {
    fn new(fresh: &'a [NewEvent<'a>], owners: &'a HashMap<String, Owner>) -> Self {
        let claims = claimed_bindings(fresh).into_iter();
        Self {
            owners,
            claimants: claims
                .map(|(binding, event)| (binding, &event.named.person))
                .collect(),
        }
    }

    /// The reply of a binding goes only to the follower whose scan claims it.
    fn to(&self, event: &PseudonymousEvent<'_>) -> Option<&'a Reply> {
        let owner = self.owners.get(event.ticket()?)?;
        let is_for_follower = match &owner.binding {
            Some(binding) => self.claimant(binding) == Some(&event.person),
            None => true,
        };
        owner.reply.as_ref().filter(|_| is_for_follower)
    }

    fn claimant(&self, binding: &'a ScannedBinding) -> Option<&'a Person> {
        let now = || self.claimants.get(binding.id.as_str()).copied();
        binding.scanned_by.as_ref().or_else(now)
    }
}
