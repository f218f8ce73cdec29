//! The rules of the run as a whole: it has done enough to tell, and what Dapr is known for is rare. Without them a run in which
//! nothing worked, or in which everything is excused, would be a good one.

use std::collections::BTreeMap;

use super::violation::{Rule, Violation};
use crate::history::{HistoryEvent, Outcome, Record, Way};
use crate::seen::{Ledger, Seen};
use crate::wire::{EVENT, REMINDER};

/// Operations of each kind that were acknowledged at least, and entries of events and reminders, and SMS.
const MIN_COUNT: usize = 5;
/// Acknowledged entries that may be lost for a reason that is known of Dapr, one of so many. One of 300 is common.
const KNOWN_OF: usize = 20;
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
        ("SMS", seen.sms.len()),
    ];
    let mut wrong = Vec::new();
    for (what, count) in done.into_iter().filter(|(_, count)| *count < MIN_COUNT) {
        let (expected, seen) = (format!("{MIN_COUNT} {what} at least"), count.to_string());
        wrong.push(Violation::new(Rule::TooLittle, "the run", None, &expected, seen));
    }
    let known = violations.iter().filter(|it| it.rule == Rule::Lost && it.known.is_some()).count();
    let most = KNOWN_ANYWAY.max(acknowledged.values().sum::<usize>() / KNOWN_OF);
    if known > most {
        let (expected, seen) = (format!("{most} lost entries at most"), known.to_string());
        wrong.push(Violation::new(Rule::TooMuchKnown, "the run", None, &expected, seen));
    }
    wrong
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
