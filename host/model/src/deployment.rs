//! The words of deployments: what happened to a version, and who wanted it.
//!
//! The deployment controller decides by them, records keep them, and the admin API shows them. So the serialized names
//! are formats on disk, in the shared state and of the API. They stay as they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The source of a version or change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The manifest's file, at the first start of the host.
    Manifest,
    /// The manifest's file, after a change.
    File,
    /// The admin API, or `daca deploy`.
    Api,
    /// `daca dev`, after a build.
    Dev,
    /// The host itself.
    Host,
}

/// A canary: a version that serves a share of the actors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Its digest.
    pub version: String,
    /// Percent of the actors: 1 to 99.
    pub share: u8,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// It serves all actors.
    Deployed,
    /// It serves a share of the actors.
    Canary,
    /// It served a share of the actors, and serves all of them now.
    Promoted,
    /// It was rolled back.
    RolledBack,
    /// It was not admitted.
    Refused,
    /// An actor was pinned to it.
    Pinned,
    /// An actor was unpinned from it.
    Unpinned,
    /// It already served.
    Unchanged,
}

/// The time that a deployment took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// For the check, the compilation and the smoke test.
    pub check: u64,
    /// In total.
    pub total: u64,
}

/// The serialized name.
impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}
