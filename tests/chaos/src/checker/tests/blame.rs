//! What Dapr is to blame for, and when.

use super::world::{A, B, World, entry};
use crate::checker::{Known, Rule};
use crate::fault::{Fault, Link, Server, Trouble};
use crate::history::{HistoryEvent, Outcome, Way};
use crate::wire::{CALL, EVENT, Order};

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

/// Two hosts wrote at the same time: the second read the number of entries before the first one's turn, and their page after
/// it. Nothing is lost, and what follows is at its place by its own account.
#[test]
fn a_torn_ledger_is_known_of_dapr_only_if_two_hosts_wrote_just_then() {
    let mut world = World::good();
    world.seen.ledgers[0].count = 5;
    for (ms, op, position, host) in
        [(262, "c7", 5, "host1"), (263, "c8", 5, "host2"), (264, "c9", 6, "host2")]
    {
        world.asked(ms, op, Way::Keyless, Order::default());
        world.seen.ledgers[0].count = position;
        world.add_at(ms + 10, A, CALL, op, host);
        world.answered(ms + 10, op, Outcome::Kept(Some(entry(position, CALL, op, host))));
    }
    world.violates(&[Rule::Torn]);
    world.joins();
    assert_eq!(world.violated(), [(Rule::Torn, Some(Known::PlacementDoesNotWait))]);
}

/// On a machine that was three times as slow just then, a change of hosts takes three times as long.
#[test]
fn a_change_of_hosts_explains_more_on_a_slow_machine() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    for record in &mut world.history {
        record.ms += 20_000;
    }
    for event in &mut world.seen.events {
        event.ms += 20_000;
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

/// Another host handles an event again, a minute later. Only a change of hosts when it was handled first explains that.
#[test]
fn an_event_that_two_hosts_have_handled_is_known_of_dapr_only_if_hosts_changed_just_then() {
    let mut world = World::good();
    world.add_at(70_000, B, EVENT, "c0", "host2");
    world.violates(&[Rule::Doubled]);
    world.note(60_000, HistoryEvent::Started(Server::Host(1)));
    world.violates(&[Rule::Doubled]);
    world.joins();
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(world.violated(), [(Rule::Doubled, known)]);

    // One host has done it alone.
    let mut world = World::good();
    world.add_at(70_000, B, EVENT, "c0", "host1");
    world.joins();
    world.violates(&[Rule::Doubled]);
    // A third time, and only the second is another host's.
    world.add_at(80_000, B, EVENT, "c0", "host2");
    world.note(75_000, HistoryEvent::Started(Server::Host(1)));
    world.violates(&[Rule::Doubled]);
}

/// Nothing tells when the first of both was written but the entries around it.
#[test]
fn an_entry_without_a_time_is_as_old_as_those_around_it() {
    let twice = |later_ms: u64| {
        let mut world = World::good();
        world.add_at(later_ms, B, EVENT, "c0", "host2");
        world.seen.events.retain(|event| event.recorded.entry != entry(1, EVENT, "c0", "host1"));
        world.note(60_000, HistoryEvent::Started(Server::Host(1)));
        world.violated()
    };
    assert_eq!(twice(500), [(Rule::Doubled, None), (Rule::EffectLost, None)]);
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(twice(70_000), [(Rule::Doubled, known), (Rule::EffectLost, None)]);
}

/// The broker had it long before its actor.
#[test]
fn a_message_is_written_when_it_is_handled() {
    let mut world = World::good();
    world.overwrite(2, "c9");
    world.note(29_500, HistoryEvent::Started(Server::Host(1)));
    world.violates(&[Rule::Lost, Rule::TwoPlaces]);
    world.seen.events[2].ms = 30_000;
    let known = Some(Known::PlacementDoesNotWait);
    assert_eq!(world.violated(), [(Rule::Lost, known), (Rule::TwoPlaces, known)]);
}
