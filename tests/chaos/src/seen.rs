//! What is there at the end: the ledgers, the events at the broker, the SMS at the edge, and what the hosts say.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::wire::{Entry, Recorded};

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) ledgers: Vec<Ledger>,
    /// Of the topic `record`, in the order of their arrival.
    pub(crate) events: Vec<Event>,
    /// The events by which one actor tells another, in the order of their arrival.
    pub(crate) told: Vec<Told>,
    /// In the order of their arrival.
    pub(crate) sms: Vec<Sms>,
    /// Messages and events that were dead-lettered.
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// What is active on each host, by its name.
    pub(crate) active: Vec<(String, Vec<String>)>,
    /// Hosts that were not ready in time after the last fault.
    pub(crate) unready: Vec<String>,
    /// Why the hosts do not serve the version that was deployed last.
    pub(crate) swap_fault: Option<String>,
    /// Actors whose lasting reminder no longer fires.
    pub(crate) without_ticks: Vec<String>,
    /// Actors of which a host shows another number of entries than the store has, and both.
    pub(crate) unstored: Vec<(String, String)>,
}

impl Seen {
    /// Writes all of it into a file, for whoever looks for the cause of a violation.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, serde_json::to_vec(self)?).with_context(|| format!("writing {}", path.display()))
    }
}

/// The ledger of an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ledger {
    pub(crate) actor: String,
    /// How many entries it says that it has.
    pub(crate) count: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) ticks: u64,
}

/// An entry, as it was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// The id of its CloudEvent.
    pub(crate) id: String,
    /// When the broker had it, by the clock of the history.
    pub(crate) ms: u64,
    pub(crate) recorded: Recorded,
}

/// An event by which one actor tells another of an operation, as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// The id of its CloudEvent.
    pub(crate) id: String,
    pub(crate) op: String,
}

/// A message or an event that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetter {
    /// The topic in which it is.
    pub(crate) topic: String,
    /// The operation, if it says which.
    pub(crate) op: Option<String>,
    /// The beginning of it.
    pub(crate) text: String,
}

/// The instance of an entry of which an SMS tells.
pub(crate) const UNKNOWN_INSTANCE: &str = "?";

/// An SMS, which has the entry in its text, but for the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sms {
    pub(crate) actor: String,
    pub(crate) op: String,
    pub(crate) position: u64,
    pub(crate) host: String,
    /// When the edge had it, by the clock of the history.
    pub(crate) ms: u64,
}

impl Sms {
    /// Reads the text that the guest writes, which has come at this time.
    pub(crate) fn read(text: &str, ms: u64) -> Option<Sms> {
        let [actor, op, position, host]: [&str; 4] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
        Some(Sms {
            actor: actor.to_owned(),
            op: op.to_owned(),
            position: position.parse().ok()?,
            host: host.to_owned(),
            ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_sms_is_read() {
        let sms = Sms::read("actor-01 c-01-00002 17 host2", 5).expect("it is one");
        assert_eq!(
            (sms.actor.as_str(), sms.op.as_str(), sms.position, sms.host.as_str()),
            ("actor-01", "c-01-00002", 17, "host2")
        );
        assert_eq!(Sms::read("Got your message: Hi", 5), None);
    }
}
