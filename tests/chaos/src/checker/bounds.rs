//! The rules of the run as a whole: it has done enough to tell, and what Dapr is known for is rare. Without them a run in which
//! nothing worked, or in which everything is excused, would be a good one.

use std::collections::BTreeMap;

use super::violation::{Rule, Violation};
use crate::history::{HistoryEvent, Outcome, Record, Way};
use crate::seen::{Ledger, Seen};
use crate::wire::{EVENT, REMINDER, TIMER};

/// Operations of each kind that were acknowledged at least, and entries of events, reminders and timers, and SMS.
const MIN_COUNT: usize = 5;
/// Violations of one rule that may be for a reason that is known of Dapr, one for so many acknowledged operations. One for 300 is
/// common among those of entries that another host has overwritten: each is lost, and is in two places.
const OVERWRITTEN_OF: usize = 20;
/// The same of all other rules: what follows from that is rarer.
const KNOWN_OF: usize = 50;
/// As many may be anyway: a short run has few.
const KNOWN_ANYWAY: usize = 30;

/// What is wrong with a run that has these violations.
pub(crate) fn bounds(history: &[Record], seen: &Seen, violations: &[Violation]) -> Vec<Violation> {
    let acknowledged = acknowledged(history);
    let entries = |kind: &str| {
        let of_kind = |ledger: &Ledger| ledger.entries.iter().filter(|it| it.kind == kind).count();
        seen.ledgers.iter().map(of_kind).sum::<usize>()
    };
    let of = |way: Way| acknowledged.get(&way).copied().unwrap_or_default();
    let done = [
        ("calls with a key", of(Way::Keyed)),
        ("calls without a key", of(Way::Keyless)),
        ("messages", of(Way::Kafka)),
        ("events", entries(EVENT)),
        ("reminders", entries(REMINDER)),
        ("timers", entries(TIMER)),
        ("SMS", seen.sms.len()),
    ];
    let mut wrong = Vec::new();
    for (what, count) in done.into_iter().filter(|(_, count)| *count < MIN_COUNT) {
        let (expected, seen) = (format!("{MIN_COUNT} {what} at least"), count.to_string());
        wrong.push(Violation::new(Rule::TooLittle, "the run", None, &expected, seen));
    }
    wrong.extend(too_much_known(acknowledged.values().sum(), violations));
    wrong
}

/// What Dapr is known for is rare, whichever rule it violates.
fn too_much_known(acknowledged: usize, violations: &[Violation]) -> Vec<Violation> {
    let mut known = BTreeMap::<Rule, usize>::new();
    for violation in violations.iter().filter(|it| it.known.is_some()) {
        *known.entry(violation.rule).or_default() += 1;
    }
    let too_much = |(rule, count): (Rule, usize)| {
        let of = if matches!(rule, Rule::Lost | Rule::TwoPlaces) { OVERWRITTEN_OF } else { KNOWN_OF };
        let most = KNOWN_ANYWAY.max(acknowledged / of);
        let (expected, seen) = (format!("at most {most} times: {rule}"), count.to_string());
        (count > most).then(|| Violation::new(Rule::TooMuchKnown, "the run", None, &expected, seen))
    };
    known.into_iter().filter_map(too_much).collect()
}

/// The acknowledged operations, by their way.
fn acknowledged(history: &[Record]) -> BTreeMap<Way, usize> {
    let (mut ways, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for record in history {
        match &record.what {
            HistoryEvent::Asked(asked) => drop(ways.insert(asked.order.op.as_str(), asked.way)),
            HistoryEvent::Answered { op, outcome: Outcome::Kept(_) } => {
                if let Some(way) = ways.get(op.as_str()) {
                    *counts.entry(*way).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    counts
}
