//! The ledgers and what was announced of them, by actor and operation; and what explains that something announced is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::facts::{Facts, Operation};
use super::times::Times;
use super::violation::Known;
use crate::history::Outcome;
use crate::seen::Seen;
use crate::wire::{CALL, Entry, KAFKA};

/// The number of entries before an overwritten one among which those of another host are looked for.
const NEAR: usize = 10;

/// An actor, the kind of an entry, and its operation.
type Key<'a> = (&'a str, &'a str, &'a str);

/// All that the rules look at.
pub(crate) struct Books<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) seen: &'a Seen,
    pub(crate) times: Times<'a>,
    ledgers: BTreeMap<&'a str, &'a [Entry]>,
    entries: BTreeMap<Key<'a>, Vec<&'a Entry>>,
    announced: BTreeMap<Key<'a>, Vec<&'a Entry>>,
}

impl<'a> Books<'a> {
    pub(crate) fn of(facts: &'a Facts, seen: &'a Seen) -> Books<'a> {
        let ledgers = seen.ledgers.iter().map(|ledger| (ledger.actor.as_str(), ledger.entries.as_slice()));
        let mut entries = BTreeMap::<Key<'_>, Vec<&Entry>>::new();
        for ledger in &seen.ledgers {
            for entry in &ledger.entries {
                let key = (ledger.actor.as_str(), entry.kind.as_str(), entry.op.as_str());
                entries.entry(key).or_default().push(entry);
            }
        }
        let mut announced = BTreeMap::<Key<'_>, Vec<&Entry>>::new();
        for event in &seen.events {
            let entry = &event.recorded.entry;
            let key = (event.recorded.actor.as_str(), entry.kind.as_str(), entry.op.as_str());
            announced.entry(key).or_default().push(entry);
        }
        let times = Times::of(facts, seen);
        Books { facts, seen, times, ledgers: ledgers.collect(), entries, announced }
    }

    /// The entries that an operation has in an actor's ledger.
    pub(crate) fn entries<'b>(&'b self, actor: &'b str, kind: &'b str, op: &'b str) -> &'b [&'a Entry] {
        // Keys of a shorter life: the map is one of them, too.
        let entries: &'b BTreeMap<Key<'b>, Vec<&'a Entry>> = &self.entries;
        entries.get(&(actor, kind, op)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those that its own turn has.
    pub(crate) fn own<'b>(&'b self, operation: &'b Operation) -> &'b [&'a Entry] {
        let asked = &operation.asked;
        self.entries(&asked.actor, &asked.order.kind, &asked.order.op)
    }

    /// How many turns an operation has had, those included whose entries were overwritten.
    pub(crate) fn written(&self, operation: &Operation) -> usize {
        let asked = &operation.asked;
        let key = (asked.actor.as_str(), asked.order.kind.as_str(), asked.order.op.as_str());
        let announced = self.announced.get(&key).into_iter().flatten().copied();
        let all = announced.chain(self.own(operation).iter().copied());
        all.map(|it| (it.position, it.host.as_str(), it.instance.as_str())).collect::<BTreeSet<_>>().len()
    }

    /// All of an actor's ledger.
    pub(crate) fn ledger(&self, actor: &str) -> &'a [Entry] {
        self.ledgers.get(actor).copied().unwrap_or_default()
    }

    /// When this entry may have been written, and a while after it. It has no end if nothing shows when it was.
    pub(crate) fn time_of(&self, actor: &str, entry: &Entry) -> RangeInclusive<u64> {
        let operation = self.facts.operations.get(&entry.op);
        let asked = operation.map_or(0, |operation| operation.asked_ms);
        let answered = operation.and_then(|operation| operation.answered.as_ref());
        let (answered_ms, latest) = (answered.map(|(ms, _)| *ms), self.times.latest(actor, entry));
        let (since, until) = match (entry.kind.as_str(), answered) {
            // Until then it may have been made again.
            (CALL, Some((_, Outcome::Kept(_)))) => (asked, answered_ms),
            // It may have come to its actor after the caller had given up, or after the broker had it.
            (CALL | KAFKA, _) => (asked, latest.max(answered_ms)),
            _ => (self.times.earliest(actor, entry).unwrap_or(asked), latest),
        };
        since..=until.map_or(u64::MAX, |ms| self.facts.window_after(ms))
    }

    /// The class of faults by which an actor has more entries of one operation than so many: hosts changed when one of two in
    /// a row was written, and the other is another host's.
    pub(crate) fn repeated(&self, actor: &str, entries: &[&Entry], allowed: usize) -> Option<Known> {
        let explained = entries.windows(2).filter_map(|pair| {
            self.facts.explains(&pair[0].host, &pair[1].host, self.time_of(actor, pair[0]))
        });
        let explained = explained.collect::<Vec<_>>();
        let is_enough = explained.len() >= entries.len().saturating_sub(allowed);
        explained.first().copied().filter(|_| is_enough)
    }

    /// The entry of an actor's ledger that has this position, by its own account. A ledger that two hosts have torn has it
    /// elsewhere.
    pub(crate) fn at(&self, actor: &str, position: u64) -> Option<&'a Entry> {
        self.ledgers.get(actor)?.iter().find(|entry| entry.position == position)
    }

    /// Is this entry in the ledger?
    pub(crate) fn has(&self, actor: &str, entry: &Entry) -> bool {
        self.entries(actor, &entry.kind, &entry.op).iter().any(|one| one.position == entry.position)
    }

    /// The class of faults by which an entry is not at its place in the ledger: it and the one before it are of two hosts,
    /// which wrote at the same time. A turn reads the number of entries and their page one after the other, so it may see
    /// the number from before a turn of the other host, and the page from after it.
    pub(crate) fn torn(&self, actor: &str, place: usize) -> Option<Known> {
        let ledger = self.ledger(actor);
        let (entry, before) = (ledger.get(place)?, ledger.get(place.checked_sub(1)?)?);
        self.facts.explains(&entry.host, &before.host, self.time_of(actor, entry))
    }

    /// The class of faults by which an entry that was written was overwritten, if it was. Whoever has overwritten it wrote what
    /// is at its place now, the end of a ledger that has no such place, or something before: a turn writes the whole ledger,
    /// and the first host may since have written at that place again.
    pub(crate) fn overwritten(&self, actor: &str, entry: &Entry) -> Option<Known> {
        let ledger = self.ledgers.get(actor)?;
        let time = self.time_of(actor, entry);
        let place = usize::try_from(entry.position).ok()?;
        let end = ledger.len().min(place.saturating_add(1));
        let mut others = ledger[..end].iter().rev().take(NEAR);
        let at_its_place = |other: &Entry| self.facts.explains(&entry.host, &other.host, time.clone());
        others.clone().next().and_then(at_its_place).or_else(|| {
            // Only those of the same moment: an entry of long before has overwritten nothing.
            others.find_map(|other| {
                let written = self.time_of(actor, other);
                let both = *written.start().max(time.start())..=*written.end().min(time.end());
                let is_same_moment = !both.is_empty() && *written.end() != u64::MAX;
                is_same_moment.then(|| self.facts.explains(&entry.host, &other.host, both)).flatten()
            })
        })
    }

    /// The same for an operation that has an entry, and has had another turn besides, whose effects may have left.
    pub(crate) fn overwritten_turn(&self, operation: &Operation) -> Option<Known> {
        let (asked, own) = (&operation.asked, self.own(operation));
        let key = (asked.actor.as_str(), asked.order.kind.as_str(), asked.order.op.as_str());
        let announced = self.announced.get(&key).into_iter().flatten();
        let mut gone = announced.filter(|entry| !own.contains(entry));
        gone.find_map(|entry| self.overwritten(&asked.actor, entry))
    }

    /// The same for an operation without an entry, by what was announced or answered of it.
    pub(crate) fn missing(&self, actor: &str, kind: &str, op: &str) -> Option<Known> {
        let mut announced = self.announced.get(&(actor, kind, op)).into_iter().flatten().copied();
        let answered = || match self.facts.operations.get(op)?.answered.as_ref()? {
            (_, Outcome::Kept(Some(entry))) if entry.kind == kind => Some(entry),
            _ => None,
        };
        let entry = announced.next().or_else(answered)?;
        self.overwritten(actor, entry)
    }
}
