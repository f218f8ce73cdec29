//! The rules of the ledgers: what was acknowledged is there, once, in order, and nothing else is.

use std::collections::BTreeMap;

use super::books::Books;
use super::facts::Operation;
use super::violation::{Rule, Violation};
use crate::history::{Outcome, Way};
use crate::seen::Ledger;
use crate::wire::{ACTOR, CALL, EVENT, Entry, KAFKA, REMINDER, TIMER};

/// All violations of these rules.
pub(crate) fn check(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in books.facts.operations.values() {
        violations.extend(kept(books, operation));
        violations.extend(once(books, operation));
    }
    for ledger in &books.seen.ledgers {
        violations.extend(whole(books, ledger));
        violations.extend(ledger.entries.iter().filter_map(|entry| asked_for(books, &ledger.actor, entry)));
        for kind in [CALL, KAFKA] {
            violations.extend(in_order(books, ledger, kind));
        }
    }
    violations
}

/// An operation is there if it was acknowledged, and is not there if it was refused.
fn kept(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (asked, there) = (&operation.asked, books.own(operation));
    let (actor, op) = (&asked.actor, &asked.order.op);
    let violation = |rule, expected, seen| Some(Violation::new(rule, actor, Some(op), expected, seen));
    if asked.order.trap && !there.is_empty() {
        return violation(Rule::NotKept, "no entry of a turn that trapped", described(there));
    }
    match operation.answered.as_ref().map(|(_, outcome)| outcome) {
        Some(Outcome::Kept(entry)) if there.is_empty() => {
            let known = books.missing(actor, &asked.order.kind, op);
            let seen = match entry.as_ref().and_then(|entry| Some((entry, books.at(actor, entry.position)?)))
            {
                Some((entry, other)) => {
                    format!("at its place ({}) is {}", entry.position, described(&[other]))
                }
                None => "no entry".to_owned(),
            };
            violation(Rule::Lost, "one entry, since it was acknowledged", seen).map(|it| it.explained(known))
        }
        Some(Outcome::Refused(said)) if !there.is_empty() => {
            let seen = format!("{}, although it was answered: {said}", described(there));
            violation(Rule::NotKept, "no entry of a call that was refused", seen)
        }
        Some(Outcome::Unknown(said)) if asked.way == Way::Keyed => {
            violation(Rule::Unacknowledged, "an answer 200 in the end", said.clone())
        }
        _ => None,
    }
}

/// An operation is there once at most. A call without a key whose answer says that its outcome is unknown may be there twice,
/// because its caller, or a sidecar, may have made it again.
fn once(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (asked, there) = (&operation.asked, books.own(operation));
    if there.len() < 2 {
        return None;
    }
    let is_unknown = matches!(operation.answered, Some((_, Outcome::Unknown(_))) | None);
    if asked.way == Way::Keyless && is_unknown {
        return None;
    }
    let known = books.repeated(&asked.actor, there, 1);
    let violation = Violation::new(
        Rule::Doubled,
        &asked.actor,
        Some(&asked.order.op),
        "one entry at most",
        described(there),
    );
    Some(violation.explained(known))
}

/// A ledger has as many entries as it says, and each knows its place. Behind a tear all are as many places further on.
fn whole(books: &Books<'_>, ledger: &Ledger) -> Vec<Violation> {
    let torn =
        |seen: String| Violation::new(Rule::Torn, &ledger.actor, None, "each entry at its position", seen);
    let (mut position, mut violations) = (0, Vec::new());
    for (place, entry) in ledger.entries.iter().enumerate() {
        if entry.position != position {
            let seen = format!("at {place} is {}", described(&[entry]));
            violations.push(torn(seen).explained(books.torn(&ledger.actor, place)));
        }
        position = entry.position + 1;
    }
    if ledger.count != position {
        violations.push(torn(format!("entries up to {position}, and a count of {}", ledger.count)));
    }
    violations
}

/// Somebody has asked for an entry, or for that from which it follows.
fn asked_for(books: &Books<'_>, actor: &str, entry: &Entry) -> Option<Violation> {
    let is_asked_for = books.facts.operations.get(&entry.op).is_some_and(|operation| {
        let (by, order) = (&operation.asked.actor, &operation.asked.order);
        match entry.kind.as_str() {
            EVENT => order.tell.as_deref() == Some(actor),
            ACTOR => order.pass.as_deref() == Some(actor),
            REMINDER => by == actor && order.remind_ms.is_some(),
            TIMER => by == actor && order.timer_ms.is_some(),
            kind => by == actor && order.kind == kind,
        }
    });
    let violation = || {
        let seen = described(&[entry]);
        Violation::new(Rule::Phantom, actor, Some(&entry.op), "no entry that nobody asked for", seen)
    };
    (!is_asked_for).then(violation)
}

/// What was acknowledged stands in the order in which it was asked: each caller waits for one answer before it asks again.
/// If another host has overwritten the first of two, it may have been made again behind the second one.
fn in_order(books: &Books<'_>, ledger: &Ledger, kind: &str) -> Vec<Violation> {
    let mut first_places = BTreeMap::new();
    for entry in ledger.entries.iter().filter(|entry| entry.kind == kind) {
        let Some(operation) = books.facts.operations.get(&entry.op) else { continue };
        if matches!(operation.answered, Some((_, Outcome::Kept(_)))) {
            first_places.entry(operation.asked.sequence).or_insert(entry);
        }
    }
    let places = first_places.values().copied().collect::<Vec<_>>();
    let wrong = places.windows(2).filter(|pair| pair[0].position > pair[1].position);
    let violation = |pair: &[&Entry]| {
        let [late, early] = [pair[0], pair[1]];
        let (expected, seen) = (format!("{} before {}", late.op, early.op), described(&[early, late]));
        let known = books.facts.explains(&late.host, &early.host, books.time_of(&ledger.actor, late));
        Violation::new(Rule::Order, &ledger.actor, Some(&late.op), &expected, seen).explained(known)
    };
    wrong.map(violation).collect()
}

/// Entries for people.
pub(crate) fn described(entries: &[&Entry]) -> String {
    let one = |entry: &&Entry| {
        format!(
            "{} of {} at {}, by {} ({})",
            entry.kind, entry.op, entry.position, entry.host, entry.instance
        )
    };
    entries.iter().map(one).collect::<Vec<_>>().join("; ")
}
