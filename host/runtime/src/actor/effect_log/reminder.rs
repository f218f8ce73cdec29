//! The host's own reminder of an actor with effects: whatever dies, somebody calls the actor again.

use std::time::Duration;

use bytes::Bytes;
use daca_model::backend::{FiredWakeup, Registration, WakeupKey, WakeupKind};

use super::stored::HEAD;

/// The interval of the host's reminder: how long the effects of a dead host wait at most, once the actor can be active
/// elsewhere.
const REMINDER_PERIOD: Duration = Duration::from_secs(60);

/// The data of the reminder. A host that does not know the reminder passes it to the agent: one that reads its data as JSON,
/// as all agents of the SDK do, then refuses the firing, whatever type it expects.
const REMINDER_DATA: &str = "of the host, not of the agent";

/// The host's own reminder of an actor with effects.
pub(in crate::actor) fn reminder() -> WakeupKey {
    WakeupKey { kind: WakeupKind::Reminder, name: HEAD.to_owned() }
}

/// Returns `true` for a firing of [`reminder`].
pub(in crate::actor) fn is_reminder(fired: &FiredWakeup) -> bool {
    fired.key.is_of_effects()
}

/// The registration of [`reminder`].
pub(in crate::actor) fn registration() -> Registration {
    let data = Bytes::from_static(REMINDER_DATA.as_bytes());
    Registration { due: REMINDER_PERIOD, period: Some(REMINDER_PERIOD), ttl: None, data }
}
