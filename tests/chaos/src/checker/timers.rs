//! The rule of timers. One ends with its activation, and behind Dapr with the sidecar that keeps it: it must fire if both have
//! lasted, and nothing was wrong with either.

use super::books::Books;
use super::entries::described;
use super::facts::Operation;
use super::violation::{Rule, Violation};
use crate::wire::TIMER;

/// How late a timer fires at most when nothing is wrong; on a slow machine as much later as it is slow.
const FIRES_WITHIN_MS: u64 = 5_000;

/// All violations of this rule.
pub(crate) fn check(books: &Books<'_>) -> Vec<Violation> {
    books.facts.operations.values().filter_map(|operation| fired(books, operation)).collect()
}

fn fired(books: &Books<'_>, operation: &Operation) -> Option<Violation> {
    let (actor, order) = (&operation.asked.actor, &operation.asked.order);
    let due = order.timer_ms?;
    let [entry] = *books.own(operation) else { return None };
    let set = books.times.latest(actor, entry)?;
    let fires = books.facts.after(set.saturating_add(due), FIRES_WITHIN_MS);
    if !books.entries(actor, TIMER, &order.op).is_empty()
        || books.facts.is_troubled(&entry.host, &(operation.asked_ms..=fires))
    {
        return None;
    }
    // What the same instance has written later shows that the activation had not ended.
    let later = books.ledger(actor).iter().find(|later| {
        let is_after = books.times.earliest(actor, later).is_some_and(|ms| ms > fires);
        is_after && (&later.instance, &later.host) == (&entry.instance, &entry.host)
    })?;
    let expected = format!("a firing after {due} ms");
    let seen = format!("none, although its instance lasted: {}", described(&[entry, later]));
    let violation = Violation::new(Rule::TimerLost, actor, Some(&order.op), &expected, seen);
    Some(violation.explained(books.missing(actor, TIMER, &order.op)))
}
