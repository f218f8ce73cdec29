//! Applies a [`Change`] to a record: what it refuses, what it changes, and the event that the history keeps of it.

use super::{
    Change, ChangeOutcome, Error, Event, EventKind, MAX_REVISIONS, Origin, Record, RecordedCanary,
    VersionMetadata, now,
};
use daca_base::digest::short;
use daca_base::json::UnknownFields;
use daca_base::telemetry::printable_within;

/// The maximum length of the history.
pub(super) const MAX_HISTORY: usize = 50;
/// The maximum number of pinned actors of a type: each turn looks among them.
const MAX_PINS: usize = 1_000;
/// The bytes of one text in the history, which may quote a component: the record as a whole must stay within what a sidecar
/// sends and a store takes, or nothing could be changed any more.
const MAX_EVENT_TEXT: usize = 1024;

impl Record {
    /// Applies a change. On an error the record is unchanged.
    pub fn apply(&mut self, change: Change, origin: &Origin) -> Result<ChangeOutcome, Error> {
        match change {
            Change::Deploy { version, label, bytes, migrates, share, file } => {
                if self.is_done(&version, share) && label == self.label(&version) {
                    return Ok(self.outcome(EventKind::Unchanged, version, share));
                }
                self.check_schema(&label, migrates)?;
                self.revision = self.next_revision()?;
                let metadata = VersionMetadata {
                    label,
                    bytes,
                    deployed_at: now(),
                    source: origin.source.into(),
                    initiated_by: origin.initiated_by.clone(),
                    migrates,
                    last_revision: self.revision,
                    file: file.map(|file| file.as_str().to_owned()),
                    unknown: UnknownFields::default(),
                };
                self.add_version(&version, metadata);
                Ok(self.deploy(version, share, origin))
            }
            Change::RollBack { force, text, only } => self.roll_back(force, text, only.as_deref(), origin),
            Change::Pin { actor, version } => self.pin(actor, version, origin),
            Change::Unpin { actor } => {
                let next = self.next_revision()?;
                let version = self.pins.remove(&actor).ok_or_else(|| Error::not_pinned(&actor))?;
                self.revision = next;
                let text = format!("the actor {actor:?}");
                self.remember(EventKind::Unpinned, version.clone(), origin, None, text);
                Ok(self.outcome(EventKind::Unpinned, version, 0))
            }
            Change::Refuse { version, code, text } => {
                self.remember(EventKind::Refused, version.clone(), origin, Some(code.to_string()), text);
                Ok(self.outcome(EventKind::Refused, version, 0))
            }
        }
    }

    /// The revision after a change: none that [`super::read`] would refuse.
    fn next_revision(&self) -> Result<u64, Error> {
        let next = self.revision.checked_add(1).filter(|next| *next <= MAX_REVISIONS);
        next.ok_or_else(|| Error::no_revision_after(self.revision))
    }

    fn pin(&mut self, actor: String, version: String, origin: &Origin) -> Result<ChangeOutcome, Error> {
        if self.pins.len() >= MAX_PINS && !self.pins.contains_key(&actor) {
            return Err(Error::too_many_pins(MAX_PINS));
        }
        self.check_schema(self.label(&version), self.migrates(&version))?;
        self.revision = self.next_revision()?;
        self.pins.insert(actor.clone(), version.clone());
        if let Some(metadata) = self.versions.get_mut(&version) {
            metadata.last_revision = self.revision;
            self.schemas.extend(metadata.migrates.then(|| metadata.label.clone()));
        }
        let text = format!("the actor {actor:?}");
        self.remember(EventKind::Pinned, version.clone(), origin, None, text);
        Ok(self.outcome(EventKind::Pinned, version, 0))
    }

    /// Checks that a version can use the state that others may have migrated.
    pub fn check_schema(&self, label: &str, migrates: bool) -> Result<(), Error> {
        self.unreadable_schema(label, migrates).map_or(Ok(()), |schema| Err(Error::no_migration(schema)))
    }

    /// A label to which state may have been migrated, and that a version could not read.
    fn unreadable_schema(&self, label: &str, migrates: bool) -> Option<&str> {
        self.schemas.iter().map(String::as_str).find(|schema| !migrates && *schema != label)
    }

    fn migrates(&self, version: &str) -> bool {
        self.versions.get(version).is_some_and(|metadata| metadata.migrates)
    }

    fn add_version(&mut self, version: &str, metadata: VersionMetadata) {
        if metadata.migrates {
            self.schemas.insert(metadata.label.clone());
            let of_serving = self.label(&self.serving).to_owned();
            self.first_label.get_or_insert(of_serving);
        }
        match self.versions.get_mut(version) {
            // It was deployed before, and is loaded with its file's name; only its label may be new.
            Some(known) => {
                known.label = metadata.label;
                known.last_revision = metadata.last_revision;
            }
            None => {
                self.versions.insert(version.to_owned(), metadata);
            }
        }
    }

    fn deploy(&mut self, version: String, share: u8, origin: &Origin) -> ChangeOutcome {
        let was_canary = self.canary.as_ref().is_some_and(|canary| canary.version == version);
        let previous = self.serving.clone();
        let kind = match share {
            100 if was_canary => EventKind::Promoted,
            100 => EventKind::Deployed,
            _ => EventKind::Canary,
        };
        if share < 100 && version != self.serving {
            // A step of the same canary leaves the rest of it as it is.
            let same = self.canary.take().filter(|canary| canary.version == version);
            let unknown = same.map(|canary| canary.unknown).unwrap_or_default();
            self.canary = Some(RecordedCanary { version: version.clone(), share, unknown });
        } else {
            self.canary = None;
            self.serve(version.clone());
        }
        let text = if share < 100 { format!("{share} % of the actors") } else { String::new() };
        self.remember(kind, version.clone(), origin, None, text);
        ChangeOutcome { outcome: kind, version, share, previous: Some(previous) }
    }

    fn serve(&mut self, version: String) {
        if version != self.serving {
            self.previous.retain(|previous| *previous != version);
            self.previous.push(std::mem::replace(&mut self.serving, version));
        }
    }

    fn roll_back(
        &mut self,
        force: bool,
        text: String,
        only: Option<&str>,
        origin: &Origin,
    ) -> Result<ChangeOutcome, Error> {
        let goes = self.newest().clone();
        if only.is_some_and(|only| only != goes) {
            return Err(Error::conflict(&self.serving, self.label(&self.serving)));
        }
        let comes = match &self.canary {
            Some(_) => self.serving.clone(),
            None => self.previous.last().cloned().ok_or_else(Error::nothing_before)?,
        };
        let unreadable = self.unreadable_schema(self.label(&comes), self.migrates(&comes));
        if let Some(schema) = unreadable.filter(|_| !force) {
            return Err(Error::rollback_loses_schema(schema, self.label(&comes)));
        }
        self.revision = self.next_revision()?;
        if self.canary.take().is_none() {
            self.previous.pop();
            self.serving.clone_from(&comes);
        }
        let text = match text.is_empty() {
            true => format!("to {}", short(&comes)),
            false => format!("to {}: {text}", short(&comes)),
        };
        self.remember(EventKind::RolledBack, goes.clone(), origin, None, text);
        Ok(ChangeOutcome { outcome: EventKind::RolledBack, version: comes, share: 100, previous: Some(goes) })
    }

    fn outcome(&self, outcome: EventKind, version: String, share: u8) -> ChangeOutcome {
        ChangeOutcome { outcome, version, share, previous: Some(self.serving.clone()) }
    }

    /// Adds an event to the history. Its texts are bounded and printable, whoever has written what they quote.
    pub(super) fn remember(
        &mut self,
        kind: EventKind,
        version: String,
        origin: &Origin,
        code: Option<String>,
        text: String,
    ) {
        if self.history.len() >= MAX_HISTORY {
            self.history.pop_front();
        }
        let bounded = |text: &str| printable_within(text, MAX_EVENT_TEXT).into_owned();
        self.history.push_back(Event {
            at: now(),
            kind: kind.into(),
            version,
            source: origin.source.into(),
            initiated_by: bounded(&origin.initiated_by),
            code,
            text: bounded(&text),
            unknown: UnknownFields::default(),
        });
    }
}
