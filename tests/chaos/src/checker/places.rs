//! The rules of hosts: an actor is in one place, what was acknowledged is shown, nothing is given up, and hosts come back.

use std::collections::BTreeMap;

use super::books::Books;
use super::facts::StaleLook;
use super::violation::{Rule, Violation};
use crate::history::Outcome;

/// All violations of these rules.
pub(crate) fn check(books: &Books<'_>) -> Vec<Violation> {
    let seen = books.seen;
    let mut violations = active(books);
    violations.extend(books.facts.stale_looks.iter().map(|look| stale(books, look)));
    violations.extend(seen.unready.iter().map(|host| {
        let expected = "ready within 60 s of the last fault";
        Violation::new(Rule::NotReady, host, None, expected, "it is not".to_owned())
    }));
    violations.extend(books.facts.ended_hosts.iter().map(|(host, status)| {
        Violation::new(Rule::HostEnded, host, None, "it ends when it is told to", status.clone())
    }));
    violations.extend(seen.without_ticks.iter().map(|actor| {
        let expected = "a firing of its lasting reminder after the last fault";
        Violation::new(Rule::ReminderLost, actor, None, expected, "none".to_owned())
    }));
    violations.extend(seen.unstored.iter().map(|(actor, counts)| {
        let expected = "as many entries in the store as a host shows";
        Violation::new(Rule::NotStored, actor, None, expected, counts.clone())
    }));
    // Tries go on for longer than any fault lasts, so nothing explains one.
    violations.extend(seen.dead_letters.iter().map(|letter| {
        let expected = "no dead letter: it is tried until it is handled";
        Violation::new(Rule::GivenUp, &letter.topic, letter.op.as_deref(), expected, letter.text.clone())
    }));
    violations.extend(seen.swap_fault.iter().map(|fault| {
        Violation::new(Rule::Swap, "the hosts", None, "one version on all of them", fault.clone())
    }));
    violations
}

/// In the end, each actor is active on one host at most.
fn active(books: &Books<'_>) -> Vec<Violation> {
    let mut places = BTreeMap::<&str, Vec<&str>>::new();
    for (host, actors) in &books.seen.active {
        for actor in actors {
            places.entry(actor).or_default().push(host);
        }
    }
    let twice = places.into_iter().filter(|(_, hosts)| hosts.len() > 1);
    twice
        .map(|(actor, hosts)| {
            let seen = format!("active on {}", hosts.join(" and "));
            Violation::new(Rule::TwoPlaces, actor, None, "one host, when all is well again", seen)
        })
        .collect()
}

/// An entry that was acknowledged is shown by whoever has the actor.
fn stale(books: &Books<'_>, look: &StaleLook) -> Violation {
    let operation = books.facts.operations.get(&look.op);
    let kept = operation.and_then(|it| match &it.answered {
        Some((_, Outcome::Kept(Some(entry)))) => Some(entry),
        _ => None,
    });
    let known = kept.and_then(|entry| books.facts.explains(&entry.host, &look.by, look.ms..=look.ms));
    let who = operation.map(|it| it.asked.actor.as_str()).unwrap_or_default();
    let by = kept.map(|entry| entry.host.as_str()).unwrap_or_default();
    let expected = format!("the entry, which {by} has acknowledged");
    let seen = format!("{}, asked over {}, does not show it", look.by, look.over);
    Violation::new(Rule::StaleRead, who, Some(&look.op), &expected, seen).explained(known)
}
