//! The rules of the ledgers.

use super::world::{A, World, entry};
use crate::checker::Rule;
use crate::history::{Outcome, Way};
use crate::wire::{CALL, Order, REMINDER};

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
