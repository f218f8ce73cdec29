//! The changes of a record, and their outcomes.

use super::EventKind;
use daca_base::ErrorCode;
use daca_model::FileName;

/// A requested change.
#[derive(Debug, Clone)]
pub enum Change {
    /// A version serves all actors (a share of 100) or some.
    Deploy {
        /// Its digest.
        version: String,
        /// Its label.
        label: String,
        /// The size of its file in bytes.
        bytes: u64,
        /// `true` if it has a migration.
        migrates: bool,
        /// Percent of the actors: 1 to 100.
        share: u8,
        /// The name of a script's file.
        file: Option<FileName>,
    },
    /// A rollback to the previous version; if there is a canary, only the canary ends.
    RollBack {
        /// `true` to roll back even if state was migrated that the previous version cannot read.
        force: bool,
        /// The reason, for the history.
        text: String,
        /// Only if this version is the one that would be rolled back.
        only: Option<String>,
    },
    /// Pins an actor to a version.
    Pin {
        /// The id of the actor.
        actor: String,
        /// The digest.
        version: String,
    },
    /// Unpins an actor.
    Unpin {
        /// The id of the actor.
        actor: String,
    },
    /// A version was refused.
    Refuse {
        /// Its digest.
        version: String,
        /// The code of the refusal.
        code: ErrorCode,
        /// The reason.
        text: String,
    },
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOutcome {
    /// The kind of event.
    pub outcome: EventKind,
    /// The version that it applies to; after a rollback the one that serves again.
    pub version: String,
    /// Percent of the actors that it serves.
    pub share: u8,
    /// The previous version.
    pub previous: Option<String>,
}
