//! The record of an agent type: its deployed versions, and those that serve. It is stored on disk and, behind a
//! sidecar, shared by all hosts.
//!
//! Everything here is a pure function of the record and a [`Change`], so hosts with the same record serve the same
//! versions.

pub use super::history::{Canary, Event, FileSeen, Known, Origin, Source, What};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;
use daca_base::digest::short;

/// The maximum length of the history.
const LONGEST_HISTORY: usize = 50;
/// The maximum number of pinned actors of a type: each turn looks among them.
const MOST_PINS: usize = 1_000;

/// The record of an agent type. Its fields are the format on disk and in the shared state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The number of changes.
    pub revision: u64,
    /// The digest of the version that serves.
    pub serving: String,
    /// Versions that served before, the most recent one last: the targets of rollbacks.
    #[serde(default)]
    pub before: Vec<String>,
    /// The canary.
    #[serde(default)]
    pub canary: Option<Canary>,
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
    #[serde(default)]
    pub shapes: BTreeSet<String>,
    /// The metadata of all kept versions, by digest.
    pub versions: BTreeMap<String, Known>,
    /// The history, newest last.
    #[serde(default)]
    pub history: VecDeque<Event>,
}

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
        code: String,
        /// The reason.
        text: String,
    },
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The kind of event.
    pub outcome: What,
    /// The version that it applies to; after a rollback the one that serves again.
    pub version: String,
    /// Percent of the actors that it serves.
    pub share: u8,
    /// The previous version.
    pub before: Option<String>,
}

impl Record {
    /// The record for the first deployment of a type.
    pub fn first(version: String, known: Known, file: Option<FileSeen>, origin: &Origin) -> Record {
        let first_label = known.migrates.then(|| known.label.clone());
        let shapes = first_label.iter().cloned().collect();
        let mut record = Record {
            revision: 1,
            serving: version.clone(),
            before: Vec::new(),
            canary: None,
            pins: BTreeMap::new(),
            file,
            first_label,
            shapes,
            versions: BTreeMap::from([(version.clone(), known)]),
            history: VecDeque::new(),
        };
        record.remember(What::Deployed, version, origin, None, String::new());
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
    pub fn version_before(&self) -> Option<&String> {
        self.before.last()
    }

    /// The full digest of a version with this prefix.
    pub fn find(&self, prefix: &str) -> Result<Option<String>, Error> {
        let mut found = self.versions.keys().filter(|digest| digest.starts_with(prefix));
        let first = found.next().cloned();
        if found.next().is_some() {
            return Err(Error::version_ambiguous(prefix));
        }
        Ok(first)
    }

    /// A version's label, or the first digits of its digest.
    pub fn label<'a>(&'a self, version: &'a str) -> &'a str {
        self.versions.get(version).map_or(short(version), |known| &known.label)
    }

    /// The time since a version began to serve all actors, by this host's clock; the maximum if the history does not
    /// say.
    pub fn served_for(&self, version: &str) -> Duration {
        let began = |event: &&Event| {
            event.version == version && matches!(event.what, What::Deployed | What::Promoted)
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

    /// Applies a change. On an error the record is unchanged.
    pub fn apply(&mut self, change: Change, origin: &Origin) -> Result<Changed, Error> {
        match change {
            Change::Deploy { version, label, bytes, migrates, share } => {
                if self.is_done(&version, share) && label == self.label(&version) {
                    return Ok(self.changed(What::Unchanged, version, share));
                }
                self.check_shape(&label, migrates)?;
                self.revision += 1;
                let used = self.revision;
                let known = Known {
                    label,
                    bytes,
                    since: now(),
                    source: origin.source,
                    by: origin.by.clone(),
                    migrates,
                    used,
                };
                self.note_version(&version, known);
                Ok(self.deploy(version, share, origin))
            }
            Change::RollBack { force, text, only } => self.roll_back(force, text, only.as_deref(), origin),
            Change::Pin { actor, version } => {
                if self.pins.len() >= MOST_PINS && !self.pins.contains_key(&actor) {
                    return Err(Error::too_many_pins(MOST_PINS));
                }
                self.check_shape(self.label(&version), self.migrates(&version))?;
                self.revision += 1;
                self.pins.insert(actor.clone(), version.clone());
                if let Some(known) = self.versions.get_mut(&version) {
                    known.used = self.revision;
                    self.shapes.extend(known.migrates.then(|| known.label.clone()));
                }
                self.remember(What::Pinned, version.clone(), origin, None, format!("the actor {actor:?}"));
                Ok(self.changed(What::Pinned, version, 0))
            }
            Change::Unpin { actor } => {
                let version = self.pins.remove(&actor).ok_or_else(|| Error::not_pinned(&actor))?;
                self.revision += 1;
                self.remember(What::Unpinned, version.clone(), origin, None, format!("the actor {actor:?}"));
                Ok(self.changed(What::Unpinned, version, 0))
            }
            Change::Refuse { version, code, text } => {
                self.remember(What::Refused, version.clone(), origin, Some(code), text);
                Ok(self.changed(What::Refused, version, 0))
            }
        }
    }

    /// Checks that a version can use the state that others may have migrated.
    pub fn check_shape(&self, label: &str, migrates: bool) -> Result<(), Error> {
        self.unreadable_shape(label, migrates).map_or(Ok(()), |shape| Err(Error::no_migration(shape)))
    }

    /// A label to which state may have been migrated, and that a version could not read.
    fn unreadable_shape(&self, label: &str, migrates: bool) -> Option<&str> {
        self.shapes.iter().map(String::as_str).find(|shape| !migrates && *shape != label)
    }

    fn migrates(&self, version: &str) -> bool {
        self.versions.get(version).is_some_and(|known| known.migrates)
    }

    fn note_version(&mut self, version: &str, known: Known) {
        if known.migrates {
            self.shapes.insert(known.label.clone());
            let of_serving = self.label(&self.serving).to_owned();
            self.first_label.get_or_insert(of_serving);
        }
        match self.versions.get_mut(version) {
            // It was deployed before; only its label may be new.
            Some(before) => {
                before.label = known.label;
                before.used = known.used;
            }
            None => {
                self.versions.insert(version.to_owned(), known);
            }
        }
    }

    fn deploy(&mut self, version: String, share: u8, origin: &Origin) -> Changed {
        let was_canary = self.canary.as_ref().is_some_and(|canary| canary.version == version);
        let before = self.serving.clone();
        let what = match share {
            100 if was_canary => What::Promoted,
            100 => What::Deployed,
            _ => What::Canary,
        };
        if share < 100 && version != self.serving {
            self.canary = Some(Canary { version: version.clone(), share });
        } else {
            self.canary = None;
            self.serve(version.clone());
        }
        let text = if share < 100 { format!("{share} % of the actors") } else { String::new() };
        self.remember(what, version.clone(), origin, None, text);
        Changed { outcome: what, version, share, before: Some(before) }
    }

    fn serve(&mut self, version: String) {
        if version != self.serving {
            self.before.retain(|before| *before != version);
            self.before.push(std::mem::replace(&mut self.serving, version));
        }
    }

    fn roll_back(
        &mut self,
        force: bool,
        text: String,
        only: Option<&str>,
        origin: &Origin,
    ) -> Result<Changed, Error> {
        let goes = self.newest().clone();
        if only.is_some_and(|only| only != goes) {
            return Err(Error::conflict(&self.serving, self.label(&self.serving)));
        }
        let comes = match &self.canary {
            Some(_) => self.serving.clone(),
            None => self.before.last().cloned().ok_or_else(Error::nothing_before)?,
        };
        let unreadable = self.unreadable_shape(self.label(&comes), self.migrates(&comes));
        if let Some(shape) = unreadable.filter(|_| !force) {
            return Err(Error::rollback_loses_shape(shape, self.label(&comes)));
        }
        self.revision += 1;
        if self.canary.take().is_none() {
            self.before.pop();
            self.serving.clone_from(&comes);
        }
        let text = match text.is_empty() {
            true => format!("to {}", short(&comes)),
            false => format!("to {}: {text}", short(&comes)),
        };
        self.remember(What::RolledBack, goes.clone(), origin, None, text);
        Ok(Changed { outcome: What::RolledBack, version: comes, share: 100, before: Some(goes) })
    }

    fn changed(&self, outcome: What, version: String, share: u8) -> Changed {
        Changed { outcome, version, share, before: Some(self.serving.clone()) }
    }

    fn remember(&mut self, what: What, version: String, origin: &Origin, code: Option<String>, text: String) {
        if self.history.len() >= LONGEST_HISTORY {
            self.history.pop_front();
        }
        let (source, by) = (origin.source, origin.by.clone());
        self.history.push_back(Event { at: now(), what, version, source, by, code, text });
    }

    /// Removes the versions that were deployed longest ago until no more than `keep` are left. The serving versions,
    /// and the target of the next rollback, stay. Returns the number of removed versions.
    pub fn prune(&mut self, keep: usize) -> usize {
        let mut needed = self.in_use();
        needed.extend(self.version_before().cloned());
        let mut oldest = self.versions.iter().map(|(digest, known)| (known.used, digest.clone()));
        let mut oldest = oldest.by_ref().collect::<Vec<_>>();
        oldest.sort();
        let too_many = self.versions.len().saturating_sub(keep);
        let gone = oldest.into_iter().map(|(_, digest)| digest).filter(|digest| !needed.contains(digest));
        let gone = gone.take(too_many).collect::<Vec<_>>();
        for digest in &gone {
            self.versions.remove(digest);
            self.before.retain(|before| before != digest);
        }
        gone.len()
    }
}

/// The time as RFC 3339, in UTC, with milliseconds.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod tests;
