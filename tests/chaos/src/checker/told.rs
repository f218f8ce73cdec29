//! The rules of the events by which one actor tells another: at the broker they are those of their entries, in order and with
//! one identity each, and the other actor has an entry for each.
//!
//! The order of the other actor's entries is no rule. Each sidecar takes its share of a topic, and an event that it fails to
//! deliver comes again later than those behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::effects;
use super::entries::described;
use super::facts::Operation;
use super::violation::{Rule, Violation};
use crate::wire::{EVENT, Entry};

/// All violations of these rules.
pub(crate) fn check(books: &Books<'_>) -> Vec<Violation> {
    let heard = books.facts.operations.values().filter_map(|operation| heard(books, operation));
    heard.chain(published(books)).collect()
}

/// The actor that an entry tells of has one entry for it.
fn heard(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (asked, own) = (&operation.asked, books.own(operation).len());
    let (to, op) = (asked.order.tell.as_deref()?, &asked.order.op);
    let heard = books.entries(to, EVENT, op);
    let violation = |rule, expected: &str| {
        Violation::new(rule, to, Some(op), expected, format!("{} of it: {}", heard.len(), described(heard)))
    };
    match own {
        0 if !heard.is_empty() => {
            let known = books.missing(&asked.actor, &asked.order.kind, op);
            Some(violation(Rule::EffectOfNothing, "no event of a turn that was not kept").explained(known))
        }
        _ if heard.len() < own => {
            let known = books.missing(to, EVENT, op);
            Some(violation(Rule::EffectLost, "an entry for its event").explained(known))
        }
        1.. if heard.len() > own => {
            let is_told_once = heard.len() <= books.written(operation);
            let overwritten = || books.overwritten_turn(operation).filter(|_| is_told_once);
            let known = books.repeated(to, heard, own).or_else(overwritten);
            Some(violation(Rule::Doubled, "one entry for its event").explained(known))
        }
        _ => None,
    }
}

/// The events at the broker.
fn published(books: &Books<'_>) -> Vec<Violation> {
    let mut ids = BTreeMap::<&str, BTreeSet<&str>>::new();
    let mut arrivals = BTreeMap::<&str, Vec<Entry>>::new();
    for told in &books.seen.told {
        let known = ids.entry(&told.op).or_default();
        let is_first = known.is_empty();
        known.insert(&told.id);
        let operation = books.facts.operations.get(&told.op).filter(|_| is_first);
        // An operation that was written twice has told twice, and it is not known which of both came first.
        if let Some(operation) = operation.filter(|operation| books.written(operation) == 1)
            && let [entry] = *books.own(operation)
        {
            arrivals.entry(&operation.asked.actor).or_default().push(entry.clone());
        }
    }
    let mut violations = effects::in_order(books, &arrivals, "events to others");
    violations.extend(ids.iter().filter_map(|(op, ids)| one_identity(books, op, ids)));
    violations
}

/// As many identities as turns: each turn announces its entry before it tells of it.
fn one_identity(books: &Books<'_>, op: &str, ids: &BTreeSet<&str>) -> Option<Violation> {
    let Some(operation) = books.facts.operations.get(op) else {
        let (expected, seen) = ("no event that nobody asked for", format!("{ids:?}"));
        return Some(Violation::new(Rule::Phantom, "the broker", Some(op), expected, seen));
    };
    let (actor, turns) = (&operation.asked.actor, books.written(operation));
    if turns == 0 {
        let (expected, seen) = ("no event of a turn that was not kept", format!("an event: {ids:?}"));
        let known = books.missing(actor, &operation.asked.order.kind, op);
        let violation = Violation::new(Rule::EffectOfNothing, actor, Some(op), expected, seen);
        return Some(violation.explained(known));
    }
    let violation = || {
        let expected = format!("one id of its event for each of {turns} turns");
        Violation::new(Rule::Identity, actor, Some(op), &expected, format!("{ids:?}"))
    };
    (ids.len() > turns).then(violation)
}
