//! What a run has shown, for people: the counts, what is known of Dapr, and of all violations the one with the shortest story.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::checker::{Known, Rule, Violation};
use crate::fault::{Fault, host_name};
use crate::history::{HistoryEvent, Outcome, Record, Way};
use crate::seen::Seen;

/// How long before and after an operation a fault is part of its story.
const AROUND_MS: u64 = 15_000;
/// Lines of a story.
const MAX_LINES: usize = 40;
/// Tries of one call that are told, from the first on.
const MAX_TRIES: usize = 4;
/// Further violations that are named.
const MAX_OTHERS: usize = 20;

/// The counts of a run, and what is known of Dapr.
pub(crate) fn summary(history: &[Record], seen: &Seen, violations: &[Violation]) -> String {
    let mut text = String::new();
    let (mut faults, mut answers) = (BTreeMap::<&str, usize>::new(), BTreeMap::<String, usize>::new());
    let mut ways = BTreeMap::new();
    for record in history {
        match &record.what {
            HistoryEvent::Healed(fault) => *faults.entry(fault.kind()).or_default() += 1,
            HistoryEvent::Asked(asked) => drop(ways.insert(asked.order.op.as_str(), asked.way)),
            HistoryEvent::Answered { op, outcome } => {
                let way = ways.get(op.as_str()).copied().map_or("?", way_word);
                *answers.entry(format!("{way} {}", outcome_word(outcome))).or_default() += 1;
            }
            _ => {}
        }
    }
    let entries = seen.ledgers.iter().map(|ledger| ledger.entries.len()).sum::<usize>();
    let all = faults.values().sum::<usize>();
    writeln!(text, "faults: {all} ({})", counted(&faults)).ok();
    writeln!(text, "operations: {}", counted(&answers)).ok();
    let (events, sms) = (seen.events.len(), seen.sms.len());
    writeln!(text, "seen: {entries} entries, {events} events, {sms} SMS").ok();
    writeln!(text, "dead letters: {}", seen.dead_letters.len()).ok();
    let mut known = BTreeMap::<(Known, Rule), usize>::new();
    for violation in violations {
        if let Some(class) = violation.known {
            *known.entry((class, violation.rule)).or_default() += 1;
        }
    }
    for ((class, rule), count) in known {
        writeln!(text, "known of Dapr, not counted as a failure: {count} x {rule} ({class})").ok();
    }
    text
}

/// The violation whose story is the shortest, with its story; and the names of the others.
pub(crate) fn failure(seed: u64, history: &[Record], violations: &[Violation]) -> Option<String> {
    let unknown = violations.iter().filter(|it| it.known.is_none()).collect::<Vec<_>>();
    let stories = unknown.iter().map(|violation| (violation, story(history, violation)));
    let (shortest, lines) = stories.min_by_key(|(_, lines)| lines.len())?;
    let mut text = format!("seed {seed}: {} violations. The one with the shortest story:\n\n", unknown.len());
    text += &named(shortest);
    for line in lines.iter().take(MAX_LINES) {
        writeln!(text, "  {line}").ok();
    }
    if lines.len() > MAX_LINES {
        writeln!(text, "  … and {} lines more in the history", lines.len() - MAX_LINES).ok();
    }
    for other in unknown.iter().filter(|it| *it != shortest).take(MAX_OTHERS) {
        write!(text, "\nalso: {}", named(other)).ok();
    }
    Some(text)
}

fn named(violation: &Violation) -> String {
    let Violation { rule, who, op, expected, seen, .. } = violation;
    let op = op.as_ref().map(|op| format!(", {op}")).unwrap_or_default();
    format!("{rule} ({who}{op})\n  expected: {expected}\n  seen: {seen}\n")
}

/// What the history has about a violation, in order.
fn story(history: &[Record], violation: &Violation) -> Vec<String> {
    let mut tries = 0;
    let mut is_told = |record: &&Record| {
        let is_try = matches!(record.what, HistoryEvent::Tried { .. });
        let is_about = is_about(&record.what, violation);
        tries += usize::from(is_try && is_about);
        is_about && (!is_try || tries <= MAX_TRIES)
    };
    let about = history.iter().filter(|record| is_told(record)).collect::<Vec<_>>();
    let from = about.first().map_or(0, |record| record.ms.saturating_sub(AROUND_MS));
    let to = about.last().map_or(u64::MAX, |record| record.ms + AROUND_MS);
    // What began before and ended after it is part of the story, too.
    let around = faults(history).into_iter().filter(|fault| fault.from <= to && fault.to >= from);
    let mut told = about.into_iter().filter_map(|it| Some((it.ms, line(&it.what)?))).collect::<Vec<_>>();
    told.extend(around.map(|it| (it.from, format!("{}, for {}", it.fault, seconds(it.to - it.from)))));
    told.sort_by_key(|(ms, _)| *ms);
    told.into_iter().map(|(ms, line)| format!("{:>9}  {line}", seconds(ms))).collect()
}

fn is_about(what: &HistoryEvent, violation: &Violation) -> bool {
    let is_op = |op: &str| violation.op.as_deref() == Some(op);
    match what {
        HistoryEvent::Asked(asked) => is_op(&asked.order.op),
        HistoryEvent::Tried { op, .. }
        | HistoryEvent::Answered { op, .. }
        | HistoryEvent::Looked { op, .. } => is_op(op),
        HistoryEvent::Ready { host, .. } => {
            violation.rule == Rule::NotReady && violation.who == host_name(*host)
        }
        HistoryEvent::Ended { server, .. } => violation.who == server.name(),
        HistoryEvent::Swapped { .. } => violation.rule == Rule::Swap,
        _ => false,
    }
}

struct Lasting {
    from: u64,
    to: u64,
    fault: Fault,
}

fn faults(history: &[Record]) -> Vec<Lasting> {
    let (mut open, mut all) = (Vec::<(u64, Fault)>::new(), Vec::new());
    for record in history {
        match &record.what {
            HistoryEvent::Applied(fault) => open.push((record.ms, *fault)),
            HistoryEvent::Healed(fault) => {
                if let Some(at) = open.iter().position(|(_, one)| one == fault) {
                    all.push(Lasting { from: open.remove(at).0, to: record.ms, fault: *fault });
                }
            }
            _ => {}
        }
    }
    all
}

fn line(what: &HistoryEvent) -> Option<String> {
    Some(match what {
        HistoryEvent::Asked(asked) => {
            let order = serde_json::to_string(&asked.order).unwrap_or_else(|error| error.to_string());
            format!("{} is asked, {}: {order}", asked.actor, way_word(asked.way))
        }
        HistoryEvent::Tried { over, said, .. } => format!("over {over}, not acknowledged: {said}"),
        HistoryEvent::Answered { outcome: Outcome::Kept(Some(entry)), .. } => {
            format!("acknowledged at {} by {} ({})", entry.position, entry.host, entry.instance)
        }
        HistoryEvent::Answered { outcome, .. } => format!("{}: {outcome:?}", outcome_word(outcome)),
        HistoryEvent::Looked { over, by, shows, .. } => {
            format!("looked for over {over}: {by} shows it: {shows}")
        }
        HistoryEvent::Ready { host, is_ready } => format!("{} is ready: {is_ready}", host_name(*host)),
        HistoryEvent::Ended { server, status } => format!("{} has ended by itself: {status}", server.name()),
        HistoryEvent::Swapped { over, said } => format!("a version is deployed over {over}: {said}"),
        _ => return None,
    })
}

fn way_word(way: Way) -> &'static str {
    match way {
        Way::Keyed => "with a key",
        Way::Keyless => "without a key",
        Way::Kafka => "by Kafka",
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Kept(_) => "acknowledged",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
        Outcome::Unanswered(_) => "unanswered",
    }
}

fn counted<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Server;
    use crate::history::Asked;
    use crate::wire::Order;

    #[test]
    fn a_story_has_what_concerns_it_and_the_faults_around() {
        let asked = |op: &str| {
            let order = Order { op: op.to_owned(), ..Order::default() };
            HistoryEvent::Asked(Asked { actor: "actor-01".into(), sequence: 0, way: Way::Keyed, order })
        };
        let answered = |op: &str| HistoryEvent::Answered { op: op.to_owned(), outcome: Outcome::Kept(None) };
        let (redis, kafka) = (Fault::Kill(Server::Redis), Fault::Kill(Server::Kafka));
        let history = [
            (0, HistoryEvent::Applied(kafka)),
            (1_000, HistoryEvent::Healed(kafka)),
            (20_000, HistoryEvent::Applied(redis)),
            (30_000, asked("a")),
            (30_001, asked("b")),
            (40_000, HistoryEvent::Healed(redis)),
            (41_000, answered("a")),
            (41_001, answered("b")),
        ]
        .map(|(ms, what)| Record { ms, what });
        let violation = Violation::new(Rule::Lost, "actor-01", Some("a"), "one", "none".to_owned());
        let text = failure(7, &history, &[violation]).expect("it is a failure");
        assert!(text.starts_with("seed 7: 1 violations"), "{text}");
        assert!(text.contains("20.000 s  kill -9 redis, for 20.000 s\n"), "{text}");
        assert!(
            text.contains("30.000 s  actor-01 is asked, with a key") && text.contains("41.000 s"),
            "{text}"
        );
        assert!(!text.contains("kafka") && !text.contains("30.001"), "{text}");
    }
}
