//! The parts of an agent type's record: its versions, who deployed what, and what happened.
//!
//! The serialized names are the format on disk, in the shared state and in the admin API. They stay as they are.

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

/// The initiator of a change, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: Source,
    /// The initiator, as far as known: the name that a client gives, and its address.
    pub initiated_by: String,
}

/// The metadata of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionMetadata {
    /// Its label.
    pub label: String,
    /// The size of its file in bytes.
    pub bytes: u64,
    /// When it was first deployed, as RFC 3339.
    #[serde(rename = "since")]
    pub deployed_at: String,
    /// Its source.
    pub source: Source,
    /// Its initiator.
    #[serde(rename = "by")]
    pub initiated_by: String,
    /// `true` if it has a migration.
    pub migrates: bool,
    /// The revision of its last deployment: the oldest versions are removed first.
    #[serde(rename = "used")]
    pub last_revision: u64,
}

/// A canary: a version that serves a share of the actors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Its digest.
    pub version: String,
    /// Percent of the actors: 1 to 99.
    pub share: u8,
}

/// The content of the manifest's file when it was last read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The digest of its bytes.
    pub digest: String,
    /// `true` if it was refused. A later signature may change that.
    pub refused: bool,
}

/// An event in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The time, as RFC 3339.
    pub at: String,
    /// The kind.
    #[serde(rename = "what")]
    pub kind: EventKind,
    /// The version that it applies to.
    pub version: String,
    /// The source.
    pub source: Source,
    /// The initiator.
    #[serde(rename = "by")]
    pub initiated_by: String,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Details, for display.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
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
