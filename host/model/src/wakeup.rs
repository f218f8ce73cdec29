//! Reminders and timers.

use std::time::Duration;

use bytes::Bytes;

/// Reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeupKind {
    /// Durable until it is unregistered.
    Reminder,
    /// Lasts while the actor is active.
    Timer,
}

/// Names a reminder or timer of an actor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WakeupKey {
    /// Reminder or timer.
    pub kind: WakeupKind,
    /// Its name.
    pub name: String,
}

/// The registration of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// From the commit to the first firing.
    pub due: Duration,
    /// From one firing to the next.
    pub period: Option<Duration>,
    /// From the commit to the last possible firing.
    pub ttl: Option<Duration>,
    /// The data of each firing.
    pub data: Bytes,
}

/// One firing of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredWakeup {
    /// The reminder or timer.
    pub key: WakeupKey,
    /// Identifies this registration and this firing among others of the same name. Only the backend uses it.
    pub token: u128,
}
