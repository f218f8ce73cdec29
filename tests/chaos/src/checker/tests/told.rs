//! The rules of the events by which one actor tells another.

use super::world::{A, B, World};
use crate::checker::{Known, Rule};
use crate::history::{Outcome, Way};
use crate::wire::{CALL, EVENT, Order};

fn telling() -> Order {
    Order { tell: Some(B.to_owned()), ..Order::default() }
}

#[test]
fn an_event_has_one_identity_however_often_it_comes() {
    let mut world = World::good();
    world.tell("c0", "told-c0");
    world.violates(&[]);
    world.tell("c0", "another");
    world.violates(&[Rule::Identity]);
    world.tell("c9", "nobody's");
    world.violates(&[Rule::Phantom, Rule::Identity]);
}

/// A call without a key whose outcome nobody knows may have had two turns.
#[test]
fn each_turn_tells_once() {
    let mut world = World::good();
    world.asked(500, "c2", Way::Keyless, telling());
    world.answered(550, "c2", Outcome::Unknown("503 backend-unavailable".into()));
    for id in ["one", "two"] {
        world.add_at(540, A, CALL, "c2", "host1");
        world.add_at(560, B, EVENT, "c2", "host1");
        world.tell("c2", id);
    }
    world.violates(&[]);
    world.tell("c2", "three");
    world.violates(&[Rule::Identity]);
}

/// The turn of one host was overwritten by another host's, and the events of both had left.
#[test]
fn two_events_of_a_turn_that_was_overwritten_are_two_entries() {
    let mut world = World::good();
    world.asked(255, "c2", Way::Keyed, telling());
    let first = world.add_at(262, A, CALL, "c2", "host1");
    world.answered(275, "c2", Outcome::Kept(Some(first)));
    let ledger = world.ledger();
    let entry = ledger.last_mut().expect("it has entries");
    entry.host = "host2".into();
    let second = entry.clone();
    world.announce_at(263, A, second);
    for id in ["one", "two"] {
        world.add_at(290, B, EVENT, "c2", "host1");
        world.tell("c2", id);
    }
    assert!(world.violated().contains(&(Rule::Doubled, None)));
    world.joins();
    let known = Some(Known::PlacementDoesNotWait);
    assert!(world.violated().contains(&(Rule::Doubled, known)));
    // Each turn tells once.
    world.add_at(290, B, EVENT, "c2", "host1");
    assert!(world.violated().contains(&(Rule::Doubled, None)));
}

#[test]
fn no_event_leaves_of_a_turn_that_was_not_kept() {
    let mut world = World::good();
    world.asked(500, "c2", Way::Keyless, Order { trap: true, ..telling() });
    world.answered(550, "c2", Outcome::Refused("500 guest-trapped".into()));
    world.violates(&[]);
    world.tell("c2", "one");
    world.violates(&[Rule::EffectOfNothing]);
}

#[test]
fn the_events_of_one_actor_come_to_the_broker_in_order() {
    let mut world = World::good();
    world.asked(500, "c2", Way::Keyed, telling());
    let entry = world.add_at(540, A, CALL, "c2", "host1");
    world.answered(550, "c2", Outcome::Kept(Some(entry)));
    world.add_at(560, B, EVENT, "c2", "host1");
    world.tell("c2", "one");
    world.violates(&[]);
    // The first one comes again.
    world.tell("c0", "told-c0");
    world.violates(&[]);
    world.seen.told.swap(0, 1);
    world.violates(&[Rule::EffectOrder]);
}

/// A sidecar that fails to deliver an event does so later than those behind it.
#[test]
fn events_may_be_handled_out_of_order() {
    let mut world = World::good();
    world.asked(500, "c2", Way::Keyed, telling());
    let entry = world.add_at(540, A, CALL, "c2", "host1");
    world.answered(550, "c2", Outcome::Kept(Some(entry)));
    world.tell("c2", "one");
    world.add_at(560, B, EVENT, "c2", "host1");
    let events = &mut world.seen.ledgers[1].entries;
    (events[1].op, events[2].op) = ("c2".into(), "c0".into());
    for (announced, op) in [(6, "c2"), (8, "c0")] {
        world.seen.events[announced].recorded.entry.op = op.into();
    }
    world.violates(&[]);
}
