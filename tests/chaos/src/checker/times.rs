//! When the entries were written, by the clock of the history: after they were asked for, before their effects arrived, and in
//! the order of their page. A host's own clock would not do, since it is among the faults.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::Outcome;
use crate::seen::{Ledger, Seen, UNKNOWN_INSTANCE};
use crate::wire::{Entry, PAGE};

/// An entry: its actor, position, kind, operation, host and instance.
type Key<'a> = (&'a str, u64, &'a str, &'a str, &'a str, &'a str);

/// The bounds that are known.
#[derive(Debug, Default)]
pub(crate) struct Times<'a> {
    earliest: BTreeMap<Key<'a>, u64>,
    latest: BTreeMap<Key<'a>, u64>,
}

impl<'a> Times<'a> {
    pub(crate) fn of(facts: &'a Facts, seen: &'a Seen) -> Times<'a> {
        let mut times = Times::default();
        for event in &seen.events {
            times.is_before(key(&event.recorded.actor, &event.recorded.entry), event.ms);
        }
        for sms in &seen.sms {
            if let Some(operation) = facts.operations.get(&sms.op) {
                let kind = operation.asked.order.kind.as_str();
                let key = (&*sms.actor, sms.position, kind, &*sms.op, &*sms.host, UNKNOWN_INSTANCE);
                times.is_before(key, sms.ms);
            }
        }
        for operation in facts.operations.values() {
            if let Some((ms, Outcome::Kept(Some(entry)))) = &operation.answered {
                times.is_before(key(&operation.asked.actor, entry), *ms);
            }
        }
        for ledger in &seen.ledgers {
            times.add_neighbours(facts, ledger);
        }
        times
    }

    /// The entry was written after this.
    pub(crate) fn earliest(&self, actor: &str, entry: &Entry) -> Option<u64> {
        self.earliest.get(&key(actor, entry)).copied()
    }

    /// The entry was written before this.
    pub(crate) fn latest(&self, actor: &str, entry: &Entry) -> Option<u64> {
        self.latest.get(&key(actor, entry)).copied()
    }

    fn is_before(&mut self, key: Key<'a>, ms: u64) {
        let latest = self.latest.entry(key).or_insert(ms);
        *latest = ms.min(*latest);
    }

    /// A turn reads a page and adds to it, so a page is in the order of its turns, whoever they were.
    fn add_neighbours(&mut self, facts: &Facts, ledger: &'a Ledger) {
        for page in ledger.entries.chunks(PAGE as usize) {
            let mut since = 0;
            for entry in page {
                let asked = facts.operations.get(&entry.op).map_or(0, |operation| operation.asked_ms);
                since = asked.max(since);
                self.earliest.insert(key(&ledger.actor, entry), since);
            }
            let mut until = None;
            for entry in page.iter().rev() {
                let key = key(&ledger.actor, entry);
                if let Some(until) = until {
                    self.is_before(key, until);
                }
                until = self.latest.get(&key).copied();
            }
        }
    }
}

fn key<'a>(actor: &'a str, entry: &'a Entry) -> Key<'a> {
    (actor, entry.position, &entry.kind, &entry.op, &entry.host, &entry.instance)
}
