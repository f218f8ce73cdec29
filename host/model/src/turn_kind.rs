//! What a turn calls in the guest.

use bytes::Bytes;

use crate::backend::WakeupKind;

/// What a turn calls.
#[derive(Debug, Clone)]
pub enum TurnKind {
    /// A method, with its payload.
    Method {
        /// Its name.
        name: String,
        /// Its payload.
        payload: Bytes,
    },
    /// A reminder or timer that is due, with the data of its registration.
    Wakeup {
        /// Reminder or timer.
        kind: WakeupKind,
        /// Its name.
        name: String,
        /// The data.
        data: Bytes,
    },
    /// The end of the activation.
    Deactivate,
    /// The beginning of an instance and nothing else, to see whether it comes to life. The reply is empty.
    Activate,
    /// The label of the shape in which the version keeps its state, as the reply. The instance is not activated, and no
    /// import answers it: it must be dropped afterwards. The failure `not-found` for a version without a migration,
    /// `invalid` for a label that is none.
    Label,
}
