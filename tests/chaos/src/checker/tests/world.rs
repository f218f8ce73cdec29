//! A made-up history in which all is well, and what may be changed in it.

use crate::checker::{Known, Rule, check};
use crate::fault::Server;
use crate::history::{Asked, HistoryEvent, Outcome, Record, Way};
use crate::seen::{Event, Ledger, Seen, Sms, Told};
use crate::wire::{ACTOR, CALL, EVENT, Entry, KAFKA, Order, REMINDER, Recorded, TIMER};

pub(super) const A: &str = "actor-00";
pub(super) const B: &str = "actor-01";
/// When what an entry leads to is seen, unless a test says otherwise.
pub(super) const SEEN_MS: u64 = 400;

/// A history, and what is there at its end.
pub(super) struct World {
    pub(super) history: Vec<Record>,
    pub(super) seen: Seen,
}

pub(super) fn entry(position: u64, kind: &str, op: &str, host: &str) -> Entry {
    let (op, kind) = (op.to_owned(), kind.to_owned());
    Entry { position, op, kind, host: host.to_owned(), instance: format!("of-{host}") }
}

impl World {
    /// One actor is called with a key, which is told to the other by an event, a call and an SMS; then without a key, with a
    /// reminder and a timer; and it gets a message.
    pub(super) fn good() -> World {
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
        world.tell("c0", "told-c0");
        world
    }

    pub(super) fn note(&mut self, ms: u64, what: HistoryEvent) {
        self.history.push(Record { ms, what });
    }

    pub(super) fn asked(&mut self, ms: u64, op: &str, way: Way, order: Order) {
        let kind = if way == Way::Kafka { KAFKA } else { CALL };
        let order = Order { op: op.to_owned(), kind: kind.to_owned(), ..order };
        self.note(ms, HistoryEvent::Asked(Asked { actor: A.to_owned(), sequence: ms, way, order }));
    }

    pub(super) fn answered(&mut self, ms: u64, op: &str, outcome: Outcome) {
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

    pub(super) fn announce(&mut self, actor: &str, entry: Entry) {
        self.announce_at(SEEN_MS, actor, entry);
    }

    pub(super) fn announce_at(&mut self, ms: u64, actor: &str, entry: Entry) {
        let id = format!("{actor} {} {}", entry.position, entry.host);
        let recorded = Recorded { actor: actor.to_owned(), entry };
        self.seen.events.push(Event { id, ms, recorded });
    }

    /// Adds an entry at the end of one of the ledgers, which is announced at this time.
    pub(super) fn add_at(&mut self, ms: u64, actor: &str, kind: &str, op: &str, host: &str) -> Entry {
        let ledger = self.seen.ledgers.iter_mut().find(|ledger| ledger.actor == actor);
        let ledger = ledger.expect("it has a ledger");
        let added = entry(ledger.count, kind, op, host);
        ledger.entries.push(added.clone());
        ledger.count += 1;
        self.announce_at(ms, actor, added.clone());
        added
    }

    /// An event of an operation comes to the broker.
    pub(super) fn tell(&mut self, op: &str, id: &str) {
        self.seen.told.push(Told { id: id.to_owned(), op: op.to_owned() });
    }

    pub(super) fn sms(&mut self, op: &str, position: u64) {
        let (actor, op, host) = (A.to_owned(), op.to_owned(), "host1".to_owned());
        self.seen.sms.push(Sms { actor, op, position, host, ms: SEEN_MS });
    }

    /// The entries of the first actor.
    pub(super) fn ledger(&mut self) -> &mut Vec<Entry> {
        &mut self.seen.ledgers[0].entries
    }

    /// Something else is written over what is at a position, by another host. What was there had been announced.
    pub(super) fn overwrite(&mut self, position: u64, op: &str) {
        self.asked(260, op, Way::Keyless, Order::default());
        let new = entry(position, CALL, op, "host2");
        self.answered(270, op, Outcome::Kept(Some(new.clone())));
        self.announce(A, new.clone());
        // As soon as what it has overwritten: those of one actor are the first.
        let event = self.seen.events.pop().expect("it was announced");
        self.seen.events.insert(position as usize + 1, event);
        self.ledger()[position as usize] = new;
    }

    pub(super) fn joins(&mut self) {
        self.note(261, HistoryEvent::Started(Server::Sidecar(1)));
    }

    /// The rules that are violated, with the classes of what is known.
    pub(super) fn violated(&self) -> Vec<(Rule, Option<Known>)> {
        let mut violated = check(&self.history, &self.seen)
            .into_iter()
            .map(|violation| (violation.rule, violation.known))
            .collect::<Vec<_>>();
        violated.sort();
        violated.dedup();
        violated
    }

    pub(super) fn violates(&self, rules: &[Rule]) {
        let expected = rules.iter().map(|rule| (*rule, None)).collect::<Vec<_>>();
        assert_eq!(self.violated(), expected, "{:#?}", check(&self.history, &self.seen));
    }
}
