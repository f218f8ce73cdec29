//! Which messages of a broker an actor has handled, so that one that is delivered again is not handled again.
//!
//! The marks lie with the actor's state, under a key that no guest can name, and each is written in the commit of the turn that
//! handled the message. So they outlive the activation: a message whose acknowledgement was lost with its host comes to the
//! actor's next host. Nobody reads or writes them for calls that are no messages.
//!
//! A partition delivers its messages in order, and only goes on when one was handled or set aside, so the highest offset of each
//! partition says it all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ActorAddress;
use crate::backend::{self, Backend, StateWrite, TurnCommit};

/// The key of the marks. Keys that begin with `daca:` are the host's own ([`crate::imports`] refuses them to guests).
const KEY: &str = "daca:consumed";
/// Partitions that are remembered. Beyond it the one whose messages are the oldest is forgotten.
const MOST_PARTITIONS: usize = 64;

/// The marks of an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consumed(BTreeMap<String, Mark>);

/// How far a partition was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    offset: u64,
    /// The latest time of its messages, in milliseconds since 1970. A topic that was made anew counts from 0 again, with later
    /// times.
    time: i64,
}

/// A message's place, as [`crate::http`] names it: topic, partition, offset and time with a slash between them.
struct Place<'a> {
    partition: &'a str,
    offset: u64,
    time: i64,
}

impl Place<'_> {
    fn of(message_id: &str) -> Option<Place<'_>> {
        let (rest, time) = message_id.rsplit_once('/')?;
        let (partition, offset) = rest.rsplit_once('/')?;
        Some(Place { partition, offset: offset.parse().ok()?, time: time.parse().unwrap_or_default() })
    }
}

impl Consumed {
    /// Reads the marks of an actor.
    pub(super) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
    ) -> Result<Consumed, backend::Error> {
        let read = backend.read_state(actor, &[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(Consumed::default()) };
        serde_json::from_slice(&value.value).map_err(|error| {
            backend::Error::Other(format!("the state's {KEY:?} is not what a host has written: {error}"))
        })
    }

    /// Was this message handled?
    pub(super) fn has(&self, message_id: &str) -> bool {
        Place::of(message_id).is_some_and(|place| {
            let mark = self.0.get(place.partition);
            mark.is_some_and(|mark| place.offset <= mark.offset && place.time <= mark.time)
        })
    }

    /// Adds the mark of a message to the commit of the turn that handles it, and answers what is known once that is done.
    pub(super) fn after(&self, message_id: &str, commit: &mut TurnCommit) -> Consumed {
        let mut after = self.clone();
        let Some(place) = Place::of(message_id) else { return after };
        let before = after.0.get(place.partition).map_or(place.time, |mark| mark.time);
        let mark = Mark { offset: place.offset, time: place.time.max(before) };
        after.0.insert(place.partition.to_owned(), mark);
        if after.0.len() > MOST_PARTITIONS {
            let oldest = after.0.iter().min_by_key(|(_, mark)| mark.time).map(|(name, _)| name.clone());
            after.0.remove(&oldest.unwrap_or_default());
        }
        let value = serde_json::to_vec(&after).unwrap_or_default().into();
        commit.writes.insert(KEY.to_owned(), StateWrite::Set { value, ttl: None });
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_handled_is_known_by_its_place() {
        let mut consumed = Consumed::default();
        for id in ["t/0/5/1000", "t/1/9/900", "t/0/7/990"] {
            assert!(!consumed.has(id), "{id}");
            let mut commit = TurnCommit::default();
            consumed = consumed.after(id, &mut commit);
            assert_eq!(commit.writes.len(), 1);
        }
        for (id, is_handled) in [
            ("t/0/5/1000", true),
            ("t/0/6/1000", true),
            ("t/0/7/990", true),
            ("t/0/8/1000", false),
            ("t/1/9/900", true),
            ("t/1/10/900", false),
            ("t/2/0/900", false),
            ("other/0/5/1000", false),
            // The topic was made anew.
            ("t/0/0/2000", false),
            // No place of a message, and no reason to take it for handled.
            ("t/0/x/1", false),
            ("", false),
        ] {
            assert_eq!(consumed.has(id), is_handled, "{id}");
        }
        let anew = consumed.after("t/0/0/2000", &mut TurnCommit::default());
        assert!(anew.has("t/0/0/2000") && !anew.has("t/0/1/2001"));
    }

    #[test]
    fn of_too_many_partitions_the_oldest_is_forgotten() {
        let mut consumed = Consumed::default();
        for partition in 0..=MOST_PARTITIONS {
            consumed =
                consumed.after(&format!("t/{partition}/0/{}", 1000 + partition), &mut TurnCommit::default());
        }
        assert!(!consumed.has("t/0/0/1000"));
        assert!(consumed.has("t/1/0/1001"));
        assert_eq!(consumed.0.len(), MOST_PARTITIONS);
    }
}
