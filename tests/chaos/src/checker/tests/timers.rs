//! The rule of timers.

use super::world::{A, World};
use crate::checker::Rule;
use crate::fault::{Edge, Fault, Server};
use crate::history::{HistoryEvent, Outcome, Way};
use crate::wire::{CALL, Order};

/// The timer of `c1` does not fire, although its instance has written something a while later.
fn without_firing() -> World {
    let mut world = World::good();
    world.ledger().truncate(4);
    world.seen.ledgers[0].count = 4;
    world.seen.events.remove(4);
    // It may have ended with its activation.
    world.violates(&[]);
    world.asked(20_000, "c4", Way::Keyless, Order::default());
    let entry = world.add_at(20_020, A, CALL, "c4", "host1");
    world.answered(20_010, "c4", Outcome::Kept(Some(entry)));
    world
}

#[test]
fn a_timer_fires_while_its_instance_lasts() {
    without_firing().violates(&[Rule::TimerLost]);
    // Too soon, and another instance.
    let mut world = without_firing();
    world.asked(5_200, "c4", Way::Keyless, Order::default());
    world.violates(&[]);
    let mut world = without_firing();
    world.ledger()[4].instance = "another".into();
    world.seen.events.last_mut().expect("there are events").recorded.entry.instance = "another".into();
    world.violates(&[]);
}

#[test]
fn a_timer_may_end_with_its_sidecar() {
    let with = |fault: Fault, from: u64| {
        let mut world = without_firing();
        world.note(from, HistoryEvent::Applied(fault));
        world.note(from + 500, HistoryEvent::Healed(fault));
        world
    };
    for fault in [
        Fault::Pause(Server::Host(0)),
        Fault::Kill(Server::Sidecar(0)),
        Fault::Kill(Server::Redis),
        // Hosts change.
        Fault::Kill(Server::Host(1)),
    ] {
        with(fault, 3_000).violates(&[]);
        with(fault, 15_000).violates(&[Rule::TimerLost]);
    }
    for fault in [Fault::Edge(Edge::Silence), Fault::Clock(1, 60), Fault::Pause(Server::Kafka)] {
        with(fault, 3_000).violates(&[Rule::TimerLost]);
    }
}

#[test]
fn a_timer_may_be_late_on_a_slow_machine() {
    let mut world = without_firing();
    world.note(250, HistoryEvent::Slow { percent: 400 });
    world.violates(&[]);
}
