//! The parts of an agent type's record: its versions, who deployed what, and what happened.
//!
//! The serialized names are the format on disk and in the shared state. They stay as they are. A newer host may add
//! fields and words ([`Word`]): a host that does not know them keeps them.

use daca_base::json::UnknownFields;
use daca_model::admin::Word;
use serde::{Deserialize, Serialize};

pub use daca_model::deployment::{EventKind, Source};

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
    pub source: Word<Source>,
    /// Its initiator.
    #[serde(rename = "by")]
    pub initiated_by: String,
    /// `true` if it has a migration.
    pub migrates: bool,
    /// The revision of its last deployment: the oldest versions are removed first.
    #[serde(rename = "used")]
    pub last_revision: u64,
    /// The name of a script's file, which came with its first deployment. See [`Record::file_of`](super::Record::file_of).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What a newer host has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The version that serves a share of the actors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCanary {
    /// Its digest.
    pub version: String,
    /// Percent of the actors: 1 to 99.
    pub share: u8,
    /// What a newer host has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The content of the manifest's file when it was last read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The digest of its bytes.
    pub digest: String,
    /// `true` if it was refused. A later signature may change that.
    pub refused: bool,
    /// What a newer host has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl FileSeen {
    /// A file that is not refused so far.
    pub fn new(digest: &str) -> FileSeen {
        FileSeen { digest: digest.to_owned(), refused: false, unknown: UnknownFields::default() }
    }
}

/// An event in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The time, as RFC 3339.
    pub at: String,
    /// The kind.
    #[serde(rename = "what")]
    pub kind: Word<EventKind>,
    /// The version that it applies to.
    pub version: String,
    /// The source.
    pub source: Word<Source>,
    /// The initiator.
    #[serde(rename = "by")]
    pub initiated_by: String,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Details, for display.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What a newer host has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}
