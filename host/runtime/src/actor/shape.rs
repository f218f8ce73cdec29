//! Under which label an actor's state was kept last, so that a version that keeps it in another shape can migrate it.
//!
//! The label lies with the state, under a key that no guest can name, and is written in the same commit as the migrated
//! state. Nobody reads or writes it as long as no version of the agent type is able to migrate.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{ActorAddress, CallError};
use crate::component::{Rollout, Served};
use daca_model::backend::{self, Backend, StateWrite, TurnCommit};

/// The key of the record. Keys that begin with `daca:` are the host's own ([`crate::imports`] refuses them to guests).
const KEY: &str = "daca:version";

/// What is known of the shape of an actor's state.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The label that it is kept under.
    label: Arc<str>,
    /// The label that is written down with it.
    recorded: Option<Arc<str>>,
    /// How many turns within other ones had committed when this was known.
    pub(super) nested_commits: u64,
}

/// Beside it lies the digest of the version that kept the state so (`version`), for whoever looks into the store.
#[derive(Deserialize)]
struct Record {
    label: Arc<str>,
}

/// The label in a record.
pub(super) fn read_label(record: &[u8]) -> Result<Arc<str>, daca_base::json::Error> {
    daca_base::json::read::<Record>(record).map(|record| record.label)
}

impl Shape {
    /// Reads the record of an actor. Without one, its state is as it was before any version could migrate.
    pub(super) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
        first_label: &Arc<str>,
        nested_commits: u64,
    ) -> Result<Shape, backend::Error> {
        let read = backend.read_state(actor, &[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else {
            return Ok(Shape { label: first_label.clone(), recorded: None, nested_commits });
        };
        let label = read_label(&value.value).map_err(|error| {
            backend::Error::Other(format!("the state's {KEY:?} was not written by a host: {error}"))
        })?;
        Ok(Shape { label: label.clone(), recorded: Some(label), nested_commits })
    }

    /// The label from which a version has to migrate the state; none when it can use it as it is.
    pub(super) fn migrate_from(
        &self,
        actor: &ActorAddress,
        served: &Served,
    ) -> Result<Option<Arc<str>>, CallError> {
        if self.label == served.label {
            return Ok(None);
        }
        if served.version.has_migration() {
            return Ok(Some(self.label.clone()));
        }
        match &self.recorded {
            // It could take what it does not find for what is not there, and overwrite it.
            Some(recorded) => Err(CallError::StateShapeUnknown {
                actor: actor.clone(),
                state: recorded.clone(),
                version: served.label.clone(),
            }),
            None => Ok(None),
        }
    }

    /// Adds to a turn's commit what its version keeps the state under, where that changes, and answers what is known once the
    /// commit is done. A turn that writes nothing leaves the record as it is, too.
    pub(super) fn after(&self, rollout: &Rollout, served: &Served, commit: &mut TurnCommit) -> Shape {
        let written = self.recorded.as_ref().or(rollout.first_label.as_ref());
        if !served.version.has_migration() || written == Some(&served.label) || commit.writes.is_empty() {
            return self.clone();
        }
        let record = json!({ "label": &*served.label, "version": served.version.digest });
        let value = record.to_string().into();
        commit.writes.insert(KEY.to_owned(), StateWrite::Set { value, ttl: None });
        let label = served.label.clone();
        Shape { recorded: Some(label.clone()), label, nested_commits: self.nested_commits }
    }
}
