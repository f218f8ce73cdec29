//! The kinds of turns.

use bytes::Bytes;

use crate::backend::{FailedEffect, WakeupKind};

/// The call that a turn makes in the guest.
#[derive(Debug, Clone)]
pub enum TurnKind {
    /// A method, with its payload.
    Method {
        /// Its name.
        name: String,
        /// Its payload.
        payload: Bytes,
    },
    /// A due reminder or timer, with the data of its registration.
    Wakeup {
        /// Reminder or timer.
        kind: WakeupKind,
        /// Its name.
        name: String,
        /// The data.
        data: Bytes,
    },
    /// An effect was given up, and the agent is told.
    EffectFailed(Box<FailedEffect>),
    /// The end of the activation.
    Deactivate,
    /// The activation of an instance and nothing else, for a smoke test. The reply is empty.
    Activate,
    /// Returns the label of the version's schema as the reply. The instance is not activated, and all imports fail; it
    /// must be dropped afterwards. The result is the failure `not-found` for a version without a migration, and
    /// `invalid` for an invalid label.
    Label,
    /// Returns what a script has as the reply, in JSON. As with a label, the instance is not activated.
    Describe,
}
