//! The rules of effects: what follows from an entry comes at least once, with one identity, in order; and nothing follows from
//! a turn that was not kept.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::entries::described;
use super::facts::Operation;
use super::violation::{Rule, Violation};
use crate::seen::UNKNOWN_INSTANCE;
use crate::wire::{ACTOR, Entry, REMINDER};

/// How often a reminder that fires once may fire: once more for each fault that may have cut its end off.
const MAX_FIRINGS: usize = 5;

/// All violations of these rules.
pub(crate) fn check(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in books.facts.operations.values() {
        violations.extend(passed(books, operation));
        violations.extend(reminded(books, operation));
    }
    violations.extend(announced(books));
    violations.extend(announcements(books));
    violations.extend(sms_sent(books));
    violations.extend(sms_seen(books));
    violations
}

/// The actor that was called within a turn that was kept has the call. It acts at once, so it may be there more often.
fn passed(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (to, op) = (operation.asked.order.pass.as_deref()?, &operation.asked.order.op);
    if books.own(operation).is_empty() || !books.entries(to, ACTOR, op).is_empty() {
        return None;
    }
    let violation = Violation::new(Rule::Lost, to, Some(op), "an entry of the call", "none".to_owned());
    Some(violation.explained(books.missing(to, ACTOR, op)))
}

/// A reminder that was kept fires. It may fire more often, and without its turn (decision 005), but it ends.
fn reminded(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (actor, order) = (&operation.asked.actor, &operation.asked.order);
    let due = order.remind_ms?;
    let fired = books.entries(actor, REMINDER, &order.op);
    if fired.len() > MAX_FIRINGS {
        let (expected, seen) = (format!("{MAX_FIRINGS} firings at most"), described(fired));
        return Some(Violation::new(Rule::ReminderEndless, actor, Some(&order.op), &expected, seen));
    }
    if books.own(operation).is_empty() || !fired.is_empty() {
        return None;
    }
    let expected = format!("a firing after {due} ms");
    let violation = Violation::new(Rule::ReminderLost, actor, Some(&order.op), &expected, "none".to_owned());
    Some(violation.explained(books.missing(actor, REMINDER, &order.op)))
}

/// Each entry was announced, with one identity, and in order.
fn announced(books: &Books<'_>) -> Vec<Violation> {
    let mut identities = BTreeMap::<(&str, u64, &str), BTreeMap<&str, &Entry>>::new();
    let mut arrivals = BTreeMap::<&str, Vec<Entry>>::new();
    for event in &books.seen.events {
        let (actor, entry) = (event.recorded.actor.as_str(), &event.recorded.entry);
        if books.has(actor, entry) {
            let known = identities.entry((actor, entry.position, entry.op.as_str())).or_default();
            if known.is_empty() {
                arrivals.entry(actor).or_default().push(entry.clone());
            }
            known.insert(&event.id, entry);
        }
    }
    let mut violations = Vec::new();
    for ledger in &books.seen.ledgers {
        for entry in &ledger.entries {
            let ids = identities.get(&(ledger.actor.as_str(), entry.position, entry.op.as_str()));
            violations.extend(one_identity(books, &ledger.actor, entry, ids));
        }
    }
    violations.extend(in_order(books, &arrivals, "events"));
    violations
}

fn one_identity(
    books: &Books<'_>,
    actor: &str,
    entry: &Entry,
    ids: Option<&BTreeMap<&str, &Entry>>,
) -> Option<Violation> {
    let op = Some(entry.op.as_str());
    let Some(ids) = ids else {
        let expected = format!("the event of {}", described(&[entry]));
        return Some(Violation::new(Rule::EffectLost, actor, op, &expected, "none".to_owned()));
    };
    if ids.len() == 1 {
        return None;
    }
    // In no order of time: either of two may be the first.
    let mut entries = ids.values().copied().collect::<Vec<_>>();
    let forwards = books.repeated(actor, &entries, entries.len() - 1);
    entries.reverse();
    let known = forwards.or_else(|| books.repeated(actor, &entries, entries.len() - 1));
    let seen = ids.keys().copied().collect::<Vec<_>>().join(", ");
    Some(Violation::new(Rule::Identity, actor, op, "one id of its event", seen).explained(known))
}

/// What was announced is in the ledger, at its place. If something else is there, two turns have written there.
fn announcements(books: &Books<'_>) -> Vec<Violation> {
    let mut told = BTreeSet::new();
    let mut violations = Vec::new();
    for event in &books.seen.events {
        let (actor, entry) = (&event.recorded.actor, &event.recorded.entry);
        if !books.has(actor, entry) && told.insert((actor, entry.position, &entry.op, &entry.host)) {
            violations.push(of_nothing(books, actor, entry, "an event"));
        }
    }
    violations
}

fn of_nothing(books: &Books<'_>, actor: &str, entry: &Entry, what: &str) -> Violation {
    let op = Some(entry.op.as_str());
    let seen = format!("{what} of {}", described(&[entry]));
    let is_trap = books.facts.operations.get(&entry.op).is_some_and(|it| it.asked.order.trap);
    match books.at(actor, entry.position) {
        Some(other) if !is_trap => {
            let seen = format!("{seen}; in the ledger is {}", described(&[other]));
            Violation::new(Rule::TwoPlaces, actor, op, "one entry at each position", seen)
                .explained(books.overwritten(actor, entry))
        }
        _ => {
            let known = if is_trap { None } else { books.overwritten(actor, entry) };
            Violation::new(Rule::EffectOfNothing, actor, op, "no effect of a turn that was not kept", seen)
                .explained(known)
        }
    }
}

/// Each entry that asks for an SMS has one.
fn sms_sent(books: &Books<'_>) -> Vec<Violation> {
    let sent = books.seen.sms.iter().map(|sms| (sms.actor.as_str(), sms.op.as_str(), sms.position));
    let sent = sent.collect::<BTreeSet<_>>();
    let mut violations = Vec::new();
    for operation in books.facts.operations.values().filter(|it| it.asked.order.sms) {
        let actor = operation.asked.actor.as_str();
        let own = books.own(operation).iter().copied();
        let missing = own.filter(|it| !sent.contains(&(actor, it.op.as_str(), it.position)));
        violations.extend(missing.map(|entry| {
            let expected = format!("the SMS of {}", described(&[entry]));
            Violation::new(Rule::EffectLost, actor, Some(&entry.op), &expected, "none".to_owned())
        }));
    }
    violations
}

/// Each SMS is of an entry, and they came in order.
fn sms_seen(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    let mut arrivals = BTreeMap::<&str, Vec<Entry>>::new();
    for sms in &books.seen.sms {
        if !seen.insert((&sms.actor, sms.position, &sms.op)) {
            continue;
        }
        let kind = books.facts.operations.get(&sms.op).map(|operation| operation.asked.order.kind.clone());
        let entry = Entry {
            position: sms.position,
            op: sms.op.clone(),
            kind: kind.unwrap_or_default(),
            host: sms.host.clone(),
            instance: UNKNOWN_INSTANCE.to_owned(),
        };
        if books.has(&sms.actor, &entry) {
            arrivals.entry(&sms.actor).or_default().push(entry);
        } else {
            violations.push(of_nothing(books, &sms.actor, &entry, "an SMS"));
        }
    }
    violations.extend(in_order(books, &arrivals, "SMS"));
    violations
}

/// Those that came for the first time came in the order of their entries. Of two hosts that have one actor for a moment, each
/// sends its own.
pub(super) fn in_order(
    books: &Books<'_>,
    arrivals: &BTreeMap<&str, Vec<Entry>>,
    what: &str,
) -> Vec<Violation> {
    let of_actor = |(actor, entries): (&&str, &Vec<Entry>)| {
        let pair = entries.windows(2).find(|pair| pair[0].position > pair[1].position)?;
        let (first, second) = (&pair[0], &pair[1]);
        let known = books.facts.explains(&first.host, &second.host, books.time_of(actor, second));
        let seen = format!("that of {} before that of {}", described(&[first]), described(&[second]));
        let expected = format!("{what} in the order of their positions");
        Some(Violation::new(Rule::EffectOrder, actor, None, &expected, seen).explained(known))
    };
    arrivals.iter().filter_map(of_actor).collect()
}
