//! The answer to `GET /versions`: the versions of the agent types, their history, and what each host serves.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Word;
use crate::deployment::{Canary, EventKind, Source};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Every agent type, or the requested one.
    pub agents: Vec<TypeVersions>,
    /// The hosts of the app, the one that answers first.
    pub hosts: Vec<HostVersions>,
}

/// The versions of an agent type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeVersions {
    /// The agent type.
    pub agent_type: String,
    /// The number of changes.
    pub revision: u64,
    /// The digest of the version that serves.
    pub serving: String,
    /// The version that serves a share of the actors.
    pub canary: Option<Canary>,
    /// The digests of pinned versions, by actor id.
    pub pins: BTreeMap<String, String>,
    /// The versions: the newest deployment first, those that were only mounted last.
    pub versions: Vec<VersionInfo>,
    /// The history, newest last.
    pub history: Vec<VersionEvent>,
}

/// A version that the host has. `Version` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Its digest.
    pub version: String,
    /// Its label; empty if it was only mounted.
    pub label: String,
    /// The size of its file.
    pub bytes: u64,
    /// When it was first deployed, as RFC 3339; empty if it was only mounted.
    pub since: String,
    /// The name of its [`Source`], or that of [`VersionState::Mounted`].
    pub source: String,
    /// Who deployed it, or the file.
    pub by: String,
    /// What it is used for.
    pub state: Vec<Word<VersionState>>,
    /// Turns that ended since the host started.
    pub turns: u64,
    /// Those that failed by the agent's fault.
    pub failed_turns: u64,
    /// Those in which the guest trapped or exceeded a limit.
    pub faults: u64,
}

/// What a version is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// It serves all actors except those of the canary and the pins.
    Serving,
    /// It serves a share of the actors.
    Canary,
    /// An actor is pinned to it.
    Pinned,
    /// It served before: the target of a rollback.
    Before,
    /// It may be deployed again.
    Kept,
    /// It is in the mounted folder, and was never deployed.
    Mounted,
}

/// The serialized name.
impl fmt::Display for VersionState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// An event in the history of an agent type. `Event` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEvent {
    /// The time, as RFC 3339.
    pub at: String,
    /// What happened.
    pub what: Word<EventKind>,
    /// The digest of the version that it applies to.
    pub version: String,
    /// Where it came from.
    pub source: Word<Source>,
    /// Who asked for it, as far as known.
    pub by: String,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Details, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A host and the versions that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostVersions {
    /// Its name.
    pub host: String,
    /// `true` for the host that answers.
    pub this: bool,
    /// The serving digest, by agent type.
    pub serving: BTreeMap<String, String>,
    /// Milliseconds since its last entry, by the clocks of the two hosts.
    pub seen_ms_ago: u64,
}
