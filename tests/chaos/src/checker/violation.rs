//! What a violation is, and the classes of those that Dapr's own documents know.

use std::fmt;

/// Something that was promised and is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// The actor or host.
    pub(crate) who: String,
    /// The call or message, if it is about one.
    pub(crate) op: Option<String>,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// The class of known faults of Dapr that it belongs to. It is counted, and fails nothing.
    pub(crate) known: Option<Known>,
}

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// What was acknowledged is in its ledger.
    Lost,
    /// It is there once.
    Doubled,
    /// What was refused is not there.
    NotKept,
    /// What is there was asked for.
    Phantom,
    /// It is there in order.
    Order,
    /// A ledger is whole.
    Torn,
    /// A call with a key is acknowledged in the end.
    Unacknowledged,
    /// What follows from an entry has come.
    EffectLost,
    /// It is the same each time it comes.
    Identity,
    /// It came in order.
    EffectOrder,
    /// Nothing follows from a turn that was not kept.
    EffectOfNothing,
    /// A reminder fires.
    ReminderLost,
    /// An actor is in one place.
    TwoPlaces,
    /// What was acknowledged is shown.
    StaleRead,
    /// A host is ready again in time.
    NotReady,
    /// A host does not end by itself.
    HostEnded,
    /// All hosts serve the version that was deployed last.
    Swap,
    /// A reminder that fires once ends.
    ReminderEndless,
    /// A timer fires while its activation lasts.
    TimerLost,
    /// What a host shows is in the store.
    NotStored,
    /// A message or an event is handled in the end.
    GivenUp,
    /// There was enough work to tell.
    TooLittle,
    /// What Dapr is known for is rare.
    TooMuchKnown,
}

/// What Dapr is known for (`docs/dapr-releases.md`, `docs/direct-calls.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// The placement of Dapr 1.16 waits for no sidecar when hosts change: two of them have an actor for a moment.
    PlacementDoesNotWait,
    /// A sidecar that stood still, or did not hear of placement, goes by its old table for a moment.
    DeafSidecar,
}

impl Violation {
    /// One that nothing explains.
    pub(crate) fn new(rule: Rule, who: &str, op: Option<&str>, expected: &str, seen: String) -> Violation {
        let (who, op, expected) = (who.to_owned(), op.map(str::to_owned), expected.to_owned());
        Violation { rule, who, op, expected, seen, known: None }
    }

    /// The same with the class that it belongs to, if it does to one.
    pub(crate) fn explained(self, known: Option<Known>) -> Violation {
        Violation { known, ..self }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Lost => "an acknowledged entry is lost",
            Rule::Doubled => "an entry is there more than once",
            Rule::NotKept => "an entry of a call that was refused",
            Rule::Phantom => "an entry that nobody asked for",
            Rule::Order => "entries are not in order",
            Rule::Torn => "a ledger is torn",
            Rule::Unacknowledged => "a call with a key was never acknowledged",
            Rule::EffectLost => "an effect is lost",
            Rule::Identity => "an effect has more than one identity",
            Rule::EffectOrder => "effects did not come in order",
            Rule::EffectOfNothing => "an effect of a turn that was not kept",
            Rule::ReminderLost => "a reminder is lost",
            Rule::TwoPlaces => "an actor is in two places",
            Rule::StaleRead => "a read does not show what was acknowledged",
            Rule::NotReady => "a host is not ready in time",
            Rule::HostEnded => "a host has ended by itself",
            Rule::Swap => "the hosts do not serve the version that was deployed last",
            Rule::ReminderEndless => "a reminder that fires once does not end",
            Rule::TimerLost => "a timer has not fired",
            Rule::GivenUp => "a message or an event was given up",
            Rule::NotStored => "a host does not show what the store has",
            Rule::TooLittle => "too little was done to tell",
            Rule::TooMuchKnown => "Dapr is blamed for more than what it is known for",
        })
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Known::PlacementDoesNotWait => "Dapr 1.16: placement waits for no sidecar when hosts change",
            Known::DeafSidecar => "Dapr: a sidecar that stood still, or was cut off from placement",
        })
    }
}
