//! Made-up histories: one in which all is well, and what is changed in it for each rule.

use super::*;
use crate::fault::{Fault, Link, Server, Trouble};
use crate::history::{Asked, HistoryEvent, Outcome, Way};
use crate::seen::{Event, Ledger, Sms};
use crate::wire::{ACTOR, CALL, EVENT, Entry, KAFKA, Order, REMINDER, Recorded, TIMER};

const A: &str = "actor-00";
const B: &str = "actor-01";

/// A history, and what is there at its end.
struct World {
    history: Vec<Record>,
    seen: Seen,
}

fn entry(position: u64, kind: &str, op: &str, host: &str) -> Entry {
    let (op, kind) = (op.to_owned(), kind.to_owned());
    Entry { position, op, kind, host: host.to_owned(), instance: format!("of-{host}") }
}

impl World {
    /// One actor is called with a key, which is told to the other by an event, a call and an SMS; then without a key, with a
    /// reminder and a timer; and it gets a message.
    fn good() -> World {
        let mut world = World { history: Vec::new(), seen: Seen::default() };
        world.note(0, HistoryEvent::Began { seed: 1, hosts: 2, release: "1.16.2".into() });
        let to_b = Some(B.to_owned());
        world.asked(
            100,
            "c0",
            Way::Keyed,
            Order { tell: to_b.clone(), pass: to_b, sms: true, ..Order::default() },
        );
        let wakes = Order { remind_ms: Some(1), timer_ms: Some(1), ..Order::default() };
        world.asked(200, "c1", Way::Keyless, wakes);
        world.asked(300, "k0", Way::Kafka, Order::default());
        world.write(A, &[(CALL, "c0"), (CALL, "c1"), (KAFKA, "k0"), (REMINDER, "c1"), (TIMER, "c1")]);
        world.write(B, &[(ACTOR, "c0"), (EVENT, "c0")]);
        world.answered(150, "c0", Outcome::Kept(Some(entry(0, CALL, "c0", "host1"))));
        world.answered(250, "c1", Outcome::Kept(Some(entry(1, CALL, "c1", "host1"))));
        world.answered(350, "k0", Outcome::Kept(None));
        world.sms("c0", 0);
        world
    }

    fn note(&mut self, ms: u64, what: HistoryEvent) {
        self.history.push(Record { ms, what });
    }

    fn asked(&mut self, ms: u64, op: &str, way: Way, order: Order) {
        let kind = if way == Way::Kafka { KAFKA } else { CALL };
        let order = Order { op: op.to_owned(), kind: kind.to_owned(), ..order };
        self.note(ms, HistoryEvent::Asked(Asked { actor: A.to_owned(), sequence: ms, way, order }));
    }

    fn answered(&mut self, ms: u64, op: &str, outcome: Outcome) {
        self.history
            .retain(|it| !matches!(&it.what, HistoryEvent::Answered { op: other, .. } if other == op));
        self.note(ms, HistoryEvent::Answered { op: op.to_owned(), outcome });
    }

    /// A ledger with these entries, each of which is announced.
    fn write(&mut self, actor: &str, entries: &[(&str, &str)]) {
        let entries =
            entries.iter().zip(0..).map(|((kind, op), position)| entry(position, kind, op, "host1"));
        let entries = entries.collect::<Vec<_>>();
        for entry in &entries {
            self.announce(actor, entry.clone());
        }
        let count = entries.len() as u64;
        self.seen.ledgers.push(Ledger { actor: actor.to_owned(), count, entries, ticks: 1 });
    }

    fn announce(&mut self, actor: &str, entry: Entry) {
        let id = format!("{actor} {} {}", entry.position, entry.host);
        self.seen.events.push(Event { id, recorded: Recorded { actor: actor.to_owned(), entry } });
    }

    fn sms(&mut self, op: &str, position: u64) {
        let (actor, op, host) = (A.to_owned(), op.to_owned(), "host1".to_owned());
        self.seen.sms.push(Sms { actor, op, position, host });
    }

    /// The entries of the first actor.
    fn ledger(&mut self) -> &mut Vec<Entry> {
        &mut self.seen.ledgers[0].entries
    }

    /// Something else is written over what is at a position, by another host. What was there had been announced.
    fn overwrite(&mut self, position: u64, op: &str) {
        self.asked(260, op, Way::Keyless, Order::default());
        let new = entry(position, CALL, op, "host2");
        self.answered(270, op, Outcome::Kept(Some(new.clone())));
        self.announce(A, new.clone());
        // As soon as what it has overwritten: those of one actor are the first.
        let event = self.seen.events.pop().expect("it was announced");
        self.seen.events.insert(position as usize + 1, event);
        self.ledger()[position as usize] = new;
    }

    fn joins(&mut self) {
        self.note(261, HistoryEvent::Started(Server::Sidecar(1)));
    }

    /// The rules that are violated, with the classes of what is known.
    fn violated(&self) -> Vec<(Rule, Option<Known>)> {
        let mut violated = check(&self.history, &self.seen)
            .into_iter()
            .map(|violation| (violation.rule, violation.known))
            .collect::<Vec<_>>();
        violated.sort();
        violated.dedup();
        violated
    }

    fn violates(&self, rules: &[Rule]) {
        let expected = rules.iter().map(|rule| (*rule, None)).collect::<Vec<_>>();
        assert_eq!(self.violated(), expected, "{:#?}", check(&self.history, &self.seen));
    }
}

#[test]
fn nothing_is_wrong_where_all_is_as_it_was_promised() {
    World::good().violates(&[]);
    // An effect, a reminder and a call of another actor may come more than once.
    let mut world = World::good();
    world.announce(A, entry(0, CALL, "c0", "host1"));
    world.sms("c0", 0);
    world.ledger().push(entry(5, REMINDER, "c1", "host1"));
    world.announce(A, entry(5, REMINDER, "c1", "host1"));
    world.seen.ledgers[0].count = 6;
    world.violates(&[]);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let mut world = World::good();
    // A message, with which nothing comes.
    world.asked(400, "k1", Way::Kafka, Order::default());
    world.answered(450, "k1", Outcome::Kept(None));
    world.violates(&[Rule::Lost]);
    // It was never acknowledged.
    world.answered(450, "k1", Outcome::Unanswered("timed out".into()));
    world.violates(&[]);
}

#[test]
fn a_call_is_there_once_unless_its_answer_said_that_nobody_knows() {
    let mut world = World::good();
    world.ledger().push(entry(5, CALL, "c1", "host1"));
    world.announce(A, entry(5, CALL, "c1", "host1"));
    world.seen.ledgers[0].count = 6;
    world.violates(&[Rule::Doubled]);
    world.answered(250, "c1", Outcome::Unanswered("no answer".into()));
    world.violates(&[Rule::Doubled]);
    world.answered(250, "c1", Outcome::Unknown("503 backend-unavailable".into()));
    world.violates(&[]);
}

#[test]
fn a_call_that_was_refused_or_trapped_is_not_there() {
    let mut world = World::good();
    world.answered(250, "c1", Outcome::Refused("503 not-done".into()));
    world.violates(&[Rule::NotKept]);

    let mut world = World::good();
    world.asked(400, "c2", Way::Keyless, Order { trap: true, sms: true, ..Order::default() });
    world.answered(450, "c2", Outcome::Refused("500 guest-trapped".into()));
    world.violates(&[]);
    world.sms("c2", 5);
    world.violates(&[Rule::EffectOfNothing]);
}

#[test]
fn a_call_with_a_key_is_acknowledged_in_the_end() {
    let mut world = World::good();
    world.answered(150, "c0", Outcome::Unknown("nobody has acknowledged it".into()));
    world.violates(&[Rule::Unacknowledged]);
}

#[test]
fn entries_are_whole_asked_for_and_in_order() {
    let mut world = World::good();
    world.seen.ledgers[0].count = 7;
    world.violates(&[Rule::Torn]);

    let mut world = World::good();
    world.seen.ledgers[1].entries[1].op = "c1".into();
    world.seen.events.last_mut().expect("there are events").recorded.entry.op = "c1".into();
    world.violates(&[Rule::Phantom, Rule::EffectLost]);

    let mut world = World::good();
    for (position, op) in [(0, "c1"), (1, "c0")] {
        world.ledger()[position].op = op.into();
        world.seen.events[position].recorded.entry.op = op.into();
    }
    world.seen.sms.clear();
    world.sms("c0", 1);
    world.violates(&[Rule::Order]);
}

#[test]
fn an_effect_of_each_entry_has_come_with_one_identity_and_in_order() {
    let mut world = World::good();
    world.seen.events.remove(2);
    world.violates(&[Rule::EffectLost]);

    let mut world = World::good();
    world.seen.sms.clear();
    world.violates(&[Rule::EffectLost]);

    let mut world = World::good();
    world.announce(A, entry(0, CALL, "c0", "host1"));
    world.seen.events.last_mut().expect("there are events").id = "another".into();
    world.violates(&[Rule::Identity]);

    let mut world = World::good();
    world.seen.events.swap(0, 1);
    world.violates(&[Rule::EffectOrder]);
}

#[test]
fn an_event_and_a_call_arrive_at_the_other_actor_and_a_reminder_fires() {
    let mut world = World::good();
    world.seen.ledgers[1] = Ledger { actor: B.to_owned(), ..Ledger::default() };
    world.seen.events.retain(|event| event.recorded.actor == A);
    world.violates(&[Rule::Lost, Rule::EffectLost]);

    let mut world = World::good();
    world.ledger()[3].kind = TIMER.into();
    world.seen.events[3].recorded.entry.kind = TIMER.into();
    world.violates(&[Rule::ReminderLost]);

    let mut world = World::good();
    world.seen.without_ticks = vec![A.to_owned()];
    world.violates(&[Rule::ReminderLost]);
}

#[test]
fn a_reminder_that_fires_once_ends_in_the_end() {
    let mut world = World::good();
    for position in 5..10 {
        world.ledger().push(entry(position, REMINDER, "c1", "host1"));
        world.announce(A, entry(position, REMINDER, "c1", "host1"));
        world.seen.ledgers[0].count += 1;
    }
    world.violates(&[Rule::ReminderEndless]);
}

#[test]
fn what_a_host_shows_is_in_the_store() {
    let mut world = World::good();
    world.seen.unstored = vec![(A.to_owned(), "5 entries are shown, and 4 stored".to_owned())];
    world.violates(&[Rule::NotStored]);
}

/// A run in which nothing worked, or in which everything is excused, is no good one.
#[test]
fn a_run_has_done_enough_to_tell_and_dapr_excuses_little() {
    let rules = |world: &World, violations: &[Violation]| {
        let wrong = bounds(&world.history, &world.seen, violations);
        wrong.into_iter().map(|violation| (violation.rule, violation.expected)).collect::<Vec<_>>()
    };
    let mut world = World::good();
    assert_eq!(rules(&world, &[]).len(), 6, "each kind of work is there once");
    for number in 0..5 {
        for (way, kind) in [(Way::Keyed, REMINDER), (Way::Keyless, EVENT), (Way::Kafka, EVENT)] {
            let op = format!("{way:?}-{number}");
            world.asked(500, &op, way, Order::default());
            world.answered(510, &op, Outcome::Kept(None));
            world.ledger().push(entry(0, kind, &op, "host1"));
            world.sms(&op, 0);
        }
    }
    assert!(rules(&world, &[]).is_empty());
    let known = Violation::new(Rule::Lost, A, None, "one", "none".to_owned());
    let known = known.explained(Some(Known::PlacementDoesNotWait));
    assert!(rules(&world, &vec![known.clone(); 30]).is_empty());
    let wrong = rules(&world, &vec![known; 31]);
    assert_eq!(wrong, [(Rule::TooMuchKnown, "30 lost entries at most".to_owned())]);
}

/// Two hosts wrote one position, and one of both entries is gone.
#[test]
fn two_places_are_known_of_dapr_only_if_hosts_changed_just_then() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    // Neither host nor sidecar had changed, so nothing explains it. The message is lost.
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);

    world.joins();
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(world.violated(), [(Rule::Lost, known), (Rule::TwoPlaces, known)]);

    // The newer placement waits.
    world.history[0].what = HistoryEvent::Began { seed: 1, hosts: 2, release: "1.18.3".into() };
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);
    // A sidecar that hears nothing is known of every release.
    let half_open = Fault::Link(Link::SidecarToPlacement(1), Trouble::HalfOpen);
    world.note(240, HistoryEvent::Applied(half_open));
    world.note(280, HistoryEvent::Healed(half_open));
    let known = Some(Known::DeafSidecar);
    assert_eq!(world.violated(), [(Rule::Lost, known), (Rule::TwoPlaces, known)]);
}

/// On a machine that was three times as slow just then, a change of hosts takes three times as long.
#[test]
fn a_change_of_hosts_explains_more_on_a_slow_machine() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    for record in &mut world.history {
        record.ms += 20_000;
    }
    world.note(1_000, HistoryEvent::Started(Server::Sidecar(1)));
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);
    world.note(2_000, HistoryEvent::Slow { percent: 300 });
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(world.violated(), [(Rule::Lost, known), (Rule::TwoPlaces, known)]);
}

/// A join explains nothing that one host has done alone, and nothing long after it.
#[test]
fn a_host_that_loses_an_entry_by_itself_is_not_dapr() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    world.joins();
    world.ledger()[2].host = "host1".into();
    world.seen.events[3].recorded.entry.host = "host1".into();
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);

    let mut world = World::good();
    world.overwrite(2, "c9");
    world.note(60_000, HistoryEvent::Started(Server::Host(1)));
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);
}

/// A turn writes the whole ledger: another host has taken an entry away by writing one before it, and the first host has then
/// written at that place again.
#[test]
fn what_another_host_wrote_before_it_explains_an_entry_that_is_gone() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    for (position, event, host) in [(2, 3, "host1"), (1, 1, "host2")] {
        world.ledger()[position].host = host.into();
        world.seen.events[event].recorded.entry.host = host.into();
    }
    world.answered(250, "c1", Outcome::Kept(Some(entry(1, CALL, "c1", "host2"))));
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);
    world.joins();
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(world.violated(), [(Rule::Lost, known), (Rule::TwoPlaces, known)]);
}

#[test]
fn a_read_shows_what_was_acknowledged() {
    let looked = |by: &str| HistoryEvent::Looked {
        op: "c0".into(),
        over: "host2".into(),
        by: by.into(),
        shows: false,
    };
    let mut world = World::good();
    world.note(160, looked("host2"));
    world.violates(&[Rule::StaleRead]);
    world.note(155, HistoryEvent::Healed(Fault::Pause(Server::Host(1))));
    assert_eq!(world.violated(), [(Rule::StaleRead, Some(Known::PlacementDoesNotWait))]);
    // The host that has acknowledged it does not show it.
    world.note(160, looked("host1"));
    let known = (Rule::StaleRead, Some(Known::PlacementDoesNotWait));
    assert_eq!(world.violated(), [(Rule::StaleRead, None), known]);
}

#[test]
fn hosts_come_back_agree_and_have_no_actor_twice() {
    let mut world = World::good();
    let of = |host: &str, actors: &[&str]| {
        (host.to_owned(), actors.iter().map(|actor| (*actor).to_owned()).collect::<Vec<_>>())
    };
    world.seen.active = vec![of("host1", &[A]), of("host2", &[B])];
    world.violates(&[]);
    world.seen.active = vec![of("host1", &[A]), of("host2", &[A, B])];
    world.violates(&[Rule::TwoPlaces]);

    let mut world = World::good();
    world.seen.unready = vec!["host2".into()];
    world.seen.swap_fault = Some("host2 serves another version".into());
    world.note(500, HistoryEvent::Ended { server: Server::Host(0), status: "signal 6".into() });
    // A sidecar may end by itself: somebody starts it again.
    world.note(500, HistoryEvent::Ended { server: Server::Sidecar(0), status: "exit code 1".into() });
    world.violates(&[Rule::NotReady, Rule::HostEnded, Rule::Swap]);
}
