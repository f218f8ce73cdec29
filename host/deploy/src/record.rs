//! The record of an agent type: its deployed versions, and those that serve. It is stored on disk and, behind a
//! sidecar, shared by all hosts.
//!
//! Everything here is a pure function of the record and a [`Change`], so hosts with the same record serve the same
//! versions.

mod apply;
mod change;
mod format;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;
pub use super::history::{Event, EventKind, FileSeen, Origin, RecordedCanary, Source, VersionMetadata};
pub(super) use change::Change;
pub use change::ChangeOutcome;
use daca_base::digest::{begins_with, short};
use daca_base::json::UnknownFields;
use daca_model::FileName;
use daca_model::admin::Word;
pub(super) use format::{ReadError, read, read_local};

/// The newest format that this host knows, and the one that it writes.
pub(crate) const FORMAT: u32 = 1;
/// The maximum number of changes of a record: a change each second for millions of years.
const MAX_REVISIONS: u64 = 1 << 48;

/// The format of a record from before there was a number.
fn first_format() -> u32 {
    1
}

/// The record of an agent type. Its fields are the format on disk and in the shared state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The number of this format. Records from before there was one have the first.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The number of changes.
    pub revision: u64,
    /// The digest of the version that serves.
    pub serving: String,
    /// Versions that served before, the most recent one last: the targets of rollbacks.
    #[serde(default, rename = "before")]
    pub previous: Vec<String>,
    /// The canary.
    #[serde(default)]
    pub canary: Option<RecordedCanary>,
    /// The pinned versions, by actor.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// The content of the manifest's file.
    #[serde(default)]
    pub file: Option<FileSeen>,
    /// The label of state that was never migrated; `None` as long as no version had a migration.
    #[serde(default)]
    pub first_label: Option<String>,
    /// The labels to which actors' state may have been migrated. They are never removed: an actor that is not called
    /// keeps its schema.
    #[serde(default, rename = "shapes")]
    pub schemas: BTreeSet<String>,
    /// The metadata of all kept versions, by digest.
    pub versions: BTreeMap<String, VersionMetadata>,
    /// The history, newest last.
    #[serde(default)]
    pub history: VecDeque<Event>,
    /// What a newer host has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The record of an agent type in the data folder of one host. Its fields are the format on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LocalRecord {
    /// The content of the manifest's file that this host saw last; other hosts may have seen another one.
    pub(crate) file_here: Option<String>,
    pub(crate) record: Arc<Record>,
}

impl Record {
    /// The record for the first deployment of a type.
    pub fn first(
        version: String,
        metadata: VersionMetadata,
        file: Option<FileSeen>,
        origin: &Origin,
    ) -> Record {
        let first_label = metadata.migrates.then(|| metadata.label.clone());
        let schemas = first_label.iter().cloned().collect();
        let mut record = Record {
            format: FORMAT,
            revision: 1,
            serving: version.clone(),
            previous: Vec::new(),
            canary: None,
            pins: BTreeMap::new(),
            file,
            first_label,
            schemas,
            versions: BTreeMap::from([(version.clone(), metadata)]),
            history: VecDeque::new(),
            unknown: UnknownFields::default(),
        };
        record.remember(EventKind::Deployed, version, origin, None, String::new());
        record
    }

    /// Returns `true` if this version already serves this share.
    pub fn is_done(&self, version: &str, share: u8) -> bool {
        match &self.canary {
            Some(canary) => canary.version == version && canary.share == share,
            None => self.serving == version && share == 100,
        }
    }

    /// The digests of the versions that turns may run on.
    pub fn in_use(&self) -> BTreeSet<String> {
        let canary = self.canary.iter().map(|canary| &canary.version);
        std::iter::once(&self.serving).chain(canary).chain(self.pins.values()).cloned().collect()
    }

    /// The version that a rollback would end.
    pub fn newest(&self) -> &String {
        self.canary.as_ref().map_or(&self.serving, |canary| &canary.version)
    }

    /// The target of a rollback of the serving version.
    pub fn previous_version(&self) -> Option<&String> {
        self.previous.last()
    }

    /// The full digest of a version with this prefix, whose digits may be capitals.
    pub fn find(&self, prefix: &str) -> Result<Option<String>, Error> {
        let mut found = self.versions.keys().filter(|digest| begins_with(digest, prefix));
        let first = found.next().cloned();
        if found.next().is_some() {
            return Err(Error::version_ambiguous(prefix));
        }
        Ok(first)
    }

    /// A version's label, or the first digits of its digest.
    pub fn label<'a>(&'a self, version: &'a str) -> &'a str {
        self.versions.get(version).map_or(short(version), |metadata| &metadata.label)
    }

    /// The name of a script's file, as stacks show it. Others can write the store, too: what is no name is none.
    pub fn file_of(&self, version: &str) -> Option<FileName> {
        FileName::new(self.versions.get(version)?.file.as_deref()?).ok()
    }

    /// The time since a version began to serve all actors, by this host's clock; the maximum if the history does not
    /// say.
    pub fn served_for(&self, version: &str) -> Duration {
        let began = |event: &&Event| {
            let kind = &event.kind;
            event.version == version && matches!(kind, Word::Known(EventKind::Deployed | EventKind::Promoted))
        };
        let event = self.history.iter().rev().find(began);
        let at = event.and_then(|event| event.at.parse::<Timestamp>().ok());
        // The clock may have been set back since then.
        let elapsed = |at| Timestamp::now().duration_since(at).max(SignedDuration::ZERO).unsigned_abs();
        at.map_or(Duration::MAX, elapsed)
    }

    /// The name of a version in messages: its first digits, and its label if it has one.
    pub fn name(&self, version: &str) -> String {
        match (short(version), self.label(version)) {
            (short, label) if short == label => short.to_owned(),
            (short, label) => format!("{short} ({label})"),
        }
    }

    /// Removes the versions that were deployed longest ago until no more than `keep` are left. The serving versions,
    /// and the target of the next rollback, stay. Returns the number of removed versions.
    pub fn prune(&mut self, keep: usize) -> usize {
        let mut needed = self.in_use();
        needed.extend(self.previous_version().cloned());
        let mut oldest =
            self.versions.iter().map(|(digest, metadata)| (metadata.last_revision, digest.clone()));
        let mut oldest = oldest.by_ref().collect::<Vec<_>>();
        oldest.sort();
        let too_many = self.versions.len().saturating_sub(keep);
        let gone = oldest.into_iter().map(|(_, digest)| digest).filter(|digest| !needed.contains(digest));
        let gone = gone.take(too_many).collect::<Vec<_>>();
        for digest in &gone {
            self.versions.remove(digest);
            self.previous.retain(|previous| previous != digest);
        }
        gone.len()
    }
}

/// The time as RFC 3339, in UTC, with milliseconds.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrades;
