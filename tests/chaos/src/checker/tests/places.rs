//! The rules of hosts.

use super::world::{A, B, World};
use crate::checker::{Known, Rule};
use crate::fault::{Fault, Server};
use crate::history::HistoryEvent;
use crate::seen::DeadLetter;

#[test]
fn what_a_host_shows_is_in_the_store() {
    let mut world = World::good();
    world.seen.unstored = vec![(A.to_owned(), "5 entries are shown, and 4 stored".to_owned())];
    world.violates(&[Rule::NotStored]);
}

/// Tries go on for longer than any fault lasts.
#[test]
fn what_was_given_up_was_not_handled() {
    let mut world = World::good();
    let (topic, text) = ("told-dead-letter".to_owned(), "{}".to_owned());
    world.seen.dead_letters = vec![DeadLetter { topic, op: Some("c0".into()), text }];
    world.joins();
    world.violates(&[Rule::GivenUp]);
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
