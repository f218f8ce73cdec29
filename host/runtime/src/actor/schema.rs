//! The schema of an actor's stored state, so that a version with another schema can migrate it.
//!
//! The label of the schema is kept with the state, under a key that no guest can name, and is written in the same
//! commit as the migrated state. It is neither read nor written as long as no version of the agent type has a
//! migration.

use std::sync::Arc;

use bytes::Bytes;
use daca_base::json::UnknownFields;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::stored_format::{check_format, unreadable};
use super::{ActorAddress, CallError};
use crate::component::{LoadedVersion, TrafficSplit};
use daca_model::backend::{self, Backend, StateWrite, TurnCommit};

/// The key of the record. Keys that begin with `daca:` are reserved for the host ([`crate::imports`] rejects them from
/// guests).
const KEY: &str = "daca:version";

/// The knowledge about the schema of an actor's state.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// The label of its schema.
    label: Arc<str>,
    /// The label in the stored record.
    recorded: Option<Arc<str>>,
    /// What a newer host has added to the record.
    unknown: UnknownFields,
    /// The number of nested turns that had committed when this was known.
    pub(super) nested_commits: u64,
}

/// The record also has the digest of the version that wrote the state (`version`), for people who inspect the store.
#[derive(Deserialize)]
struct SchemaRecord {
    label: Arc<str>,
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// The record of a label and of the version that wrote the state.
fn record_of(label: &str, version: &str, unknown: &UnknownFields) -> Bytes {
    let mut record = json!({ "label": label, "version": version }).to_string().into_bytes();
    unknown.add_to(&mut record);
    record.into()
}

fn read_record(record: &[u8]) -> Result<SchemaRecord, backend::Error> {
    check_format(KEY, record, 1)?;
    daca_base::json::read_object(record).map_err(|_| unreadable(KEY))
}

/// The label in a record.
pub(super) fn read_label(record: &[u8]) -> Result<Arc<str>, backend::Error> {
    read_record(record).map(|record| record.label)
}

impl Schema {
    /// Reads the record of an actor. Without one, the state dates from before any version could migrate.
    pub(super) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
        first_label: &Arc<str>,
        nested_commits: u64,
    ) -> Result<Schema, backend::Error> {
        let read = backend.read_state(actor, &[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else {
            let unknown = UnknownFields::default();
            return Ok(Schema { label: first_label.clone(), recorded: None, unknown, nested_commits });
        };
        let SchemaRecord { label, unknown, .. } = read_record(&value.value)?;
        Ok(Schema { label: label.clone(), recorded: Some(label), unknown, nested_commits })
    }

    /// The label from which a version must migrate the state; `None` if it can use the state as it is.
    pub(super) fn migrate_from(
        &self,
        actor: &ActorAddress,
        loaded: &LoadedVersion,
    ) -> Result<Option<Arc<str>>, CallError> {
        if self.label == loaded.label {
            return Ok(None);
        }
        if loaded.version.has_migration() {
            return Ok(Some(self.label.clone()));
        }
        match &self.recorded {
            // It could mistake missing keys for empty state, and overwrite it.
            Some(recorded) => Err(CallError::StateShapeUnknown {
                actor: actor.clone(),
                state: recorded.clone(),
                version: loaded.label.clone(),
            }),
            None => Ok(None),
        }
    }

    /// Adds the label of the turn's version to its commit, if the label changes, and returns what is known after the
    /// commit. A turn that writes nothing leaves the record unchanged, too.
    pub(super) fn after(
        &self,
        split: &TrafficSplit,
        loaded: &LoadedVersion,
        commit: &mut TurnCommit,
    ) -> Schema {
        let written = self.recorded.as_ref().or(split.first_label.as_ref());
        if !loaded.version.has_migration() || written == Some(&loaded.label) || commit.writes.is_empty() {
            return self.clone();
        }
        let value = record_of(&loaded.label, &loaded.version.outline.digest, &self.unknown);
        commit.writes.insert(KEY.to_owned(), StateWrite::Set { value, ttl: None });
        let label = loaded.label.clone();
        Schema { recorded: Some(label.clone()), label, ..self.clone() }
    }
}

#[cfg(test)]
mod properties;
