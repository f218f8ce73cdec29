//! What the guest `chaos_ledger` is asked and answers, as it is written in its own file.

use serde::{Deserialize, Serialize};

/// The entries of one page of a ledger.
pub(crate) const PAGE: u64 = 32;

/// Entries that a call and a message of Kafka write themselves.
pub(crate) const CALL: &str = "call";
pub(crate) const KAFKA: &str = "kafka";
/// Those that follow from others: an event, a call of another actor, a reminder, a timer.
pub(crate) const EVENT: &str = "event";
pub(crate) const ACTOR: &str = "actor";
pub(crate) const REMINDER: &str = "reminder";
pub(crate) const TIMER: &str = "timer";

/// What a call or a message asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Its name, which no other has.
    pub(crate) op: String,
    /// [`CALL`] or [`KAFKA`].
    pub(crate) kind: String,
    /// Is an SMS sent?
    pub(crate) sms: bool,
    /// The actor that is told by an event.
    pub(crate) tell: Option<String>,
    /// The actor that is called.
    pub(crate) pass: Option<String>,
    pub(crate) remind_ms: Option<u64>,
    pub(crate) timer_ms: Option<u64>,
    /// The period of the reminder that fires again and again.
    pub(crate) tick_ms: Option<u64>,
    /// The turn traps at its end.
    pub(crate) trap: bool,
}

/// An entry of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) op: String,
    pub(crate) kind: String,
    /// Who wrote it.
    pub(crate) host: String,
    pub(crate) instance: String,
}

/// What a ledger answers about one of its pages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// The entries of all pages.
    pub(crate) count: u64,
    /// How often the reminder has fired that fires again and again.
    pub(crate) ticks: u64,
    /// Who answers.
    pub(crate) host: String,
}

/// The data of an event of the topic `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) actor: String,
    pub(crate) entry: Entry,
}
