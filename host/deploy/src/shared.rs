//! The state that the hosts of an app share for an agent type: its record, and the bytes of its versions.
//!
//! It is in a state store, not on a topic: a topic delivers an event to one host of an app, and not to hosts that
//! start later, but every host must find the serving version at any time. Writes carry the etag of the value that they
//! are based on, so of two hosts that deploy at once one wins, and the other gets a conflict.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::Error;
use super::library::Stored;
use super::record::{self, FORMAT, ReadError, Record};
use daca_base::ErrorCode;
use daca_base::digest::digest;
use daca_model::MAX_COMPONENT;
use daca_model::backend::{self, SharedStore, SharedWriteError, stored_json};

/// The bytes of a component under one key: within the sidecar's limit of a message (4 MiB), and the limits of most
/// stores.
const CHUNK: usize = 512 * 1024;
/// The number of chunks of the largest component.
const MAX_CHUNKS: usize = MAX_COMPONENT as usize / CHUNK + 1;

/// Why the shared record could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum SharedError {
    /// The store failed, or the record is damaged.
    #[error(transparent)]
    Store(#[from] backend::Error),
    /// A newer host has written the record, in this format.
    #[error("the shared record has format {0}, and this host knows formats up to {FORMAT}")]
    TooNew(u32),
    /// Neither this host's disk nor the store has a version in use, so the record was not written.
    #[error(transparent)]
    VersionLacking(Error),
}

impl SharedError {
    /// Returns `true` if a retry may succeed.
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, SharedError::Store(error) if error.is_retryable())
    }
}

impl From<SharedError> for Error {
    fn from(error: SharedError) -> Error {
        match error {
            SharedError::Store(error) => Error::shared_unavailable(&error),
            error @ SharedError::TooNew(_) => Error::record_too_new(&error.to_string()),
            SharedError::VersionLacking(error) => error,
        }
    }
}

/// The shared state of one agent type.
#[derive(Clone)]
pub(super) struct SharedType {
    store: Arc<dyn SharedStore>,
    agent_type: Arc<str>,
}

/// The number of chunks of a component.
#[derive(Serialize, Deserialize)]
struct Head {
    chunks: usize,
    signature: Option<String>,
}

impl SharedType {
    pub(super) fn new(store: Arc<dyn SharedStore>, agent_type: Arc<str>) -> SharedType {
        SharedType { store, agent_type }
    }

    /// The record and its etag; `None` if no host has written one.
    pub(super) async fn read(&self) -> Result<Option<(Record, String)>, SharedError> {
        let read = self.store.read(&[self.record_key()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(None) };
        match record::read(&value.value) {
            Ok(record) => Ok(Some((record, value.etag))),
            Err(ReadError::TooNew(format)) => Err(SharedError::TooNew(format)),
            Err(ReadError::Damaged(reason)) => {
                let text = format!("the shared record was not written by a host: {reason}");
                Err(backend::Error::Other(text).into())
            }
        }
    }

    /// Writes the record, if it still has this `etag`.
    pub(super) async fn write(&self, record: &Record, etag: Option<&str>) -> Result<(), SharedWriteError> {
        self.store.write(&self.record_key(), stored_json(record)?, Some(etag)).await
    }

    /// Makes the bytes of a version available to all hosts.
    pub(super) async fn put(&self, version: &str, stored: &Stored) -> Result<(), backend::Error> {
        let written = |error: SharedWriteError| match error {
            SharedWriteError::Failed(error) => error,
            SharedWriteError::Conflict => backend::Error::Unavailable("a write collided".into()),
        };
        // A signature may arrive later than the component.
        let present = self.head(version).await?;
        if present.is_some_and(|head| stored.signature.is_none() || head.signature == stored.signature) {
            return Ok(());
        }
        // All stores of Dapr accept JSON; not all of them accept arbitrary bytes.
        let chunks = stored.wasm.chunks(CHUNK);
        let head = Head { chunks: chunks.len(), signature: stored.signature.clone() };
        for (number, chunk) in chunks.enumerate() {
            let value = stored_json(&BASE64.encode(chunk))?;
            self.store.write(&self.chunk_key(version, number), value, None).await.map_err(written)?;
        }
        // Last, so that a version with a head is complete.
        self.store.write(&self.head_key(version), stored_json(&head)?, None).await.map_err(written)
    }

    /// Returns `true` if a host has stored the bytes of a version.
    pub(super) async fn has(&self, version: &str) -> Result<bool, backend::Error> {
        Ok(self.head(version).await?.is_some())
    }

    /// The bytes of a version; `None` if no host has stored them, or they do not match the digest.
    pub(super) async fn get(&self, version: &str) -> Result<Option<Stored>, backend::Error> {
        let Some(head) = self.head(version).await? else { return Ok(None) };
        let mut wasm = Vec::new();
        for number in 0..head.chunks {
            let read = self.store.read(&[self.chunk_key(version, number)]).await?;
            let value = read.into_iter().flatten().next();
            let text = value.and_then(|value| daca_base::json::read::<String>(&value.value).ok());
            let Some(chunk) = text.and_then(|text| BASE64.decode(text).ok()) else { return Ok(None) };
            wasm.extend_from_slice(&chunk);
            if wasm.len() as u64 > MAX_COMPONENT {
                return Ok(None);
            }
        }
        Ok((digest(&wasm) == version).then_some(Stored { wasm: wasm.into(), signature: head.signature }))
    }

    /// Removes the bytes of a version that no host needs any more.
    pub(super) async fn remove(&self, version: &str) -> Result<(), backend::Error> {
        let Some(head) = self.head(version).await? else { return Ok(()) };
        self.store.delete(&self.head_key(version)).await?;
        for number in 0..head.chunks {
            self.store.delete(&self.chunk_key(version, number)).await?;
        }
        Ok(())
    }

    async fn head(&self, version: &str) -> Result<Option<Head>, backend::Error> {
        let read = self.store.read(&[self.head_key(version)]).await?;
        let value = read.into_iter().flatten().next();
        let head = value.and_then(|value| daca_base::json::read::<Head>(&value.value).ok());
        // Others can write the store, too, and must not make this host read without end.
        Ok(head.filter(|head| head.chunks <= MAX_CHUNKS))
    }

    fn record_key(&self) -> String {
        format!("daca-record-{}", self.agent_type)
    }

    fn head_key(&self, version: &str) -> String {
        format!("daca-component-{}-{version}", self.agent_type)
    }

    fn chunk_key(&self, version: &str, number: usize) -> String {
        format!("daca-component-{}-{version}-{number}", self.agent_type)
    }
}

/// Parses values that others may have written into the shared state, a data folder or a backup, and continues with them.
/// For fuzzing.
pub fn read_stored(text: &[u8]) {
    daca_base::json::read::<Head>(text).ok(); // only a panic would be an error here
    let local = record::read_local(text).map(|local| Arc::unwrap_or_clone(local.record));
    for record in [record::read(text), local].into_iter().flatten() {
        continue_with(record);
    }
}

/// Makes a change of each kind. The record is one that can be read afterwards.
fn continue_with(mut record: Record) {
    use super::record::{Change, Origin, Source};
    let origin = Origin { source: Source::Host, initiated_by: String::new() };
    let (version, actor) = (record.serving.clone(), String::from("a"));
    let changes = [
        Change::Refuse { version: version.clone(), code: ErrorCode::TrialFailed, text: String::new() },
        Change::RollBack { force: true, text: String::new(), only: None },
        Change::Pin { actor: actor.clone(), version: version.clone() },
        Change::Unpin { actor },
        Change::Deploy { version, label: String::from("1"), bytes: 1, migrates: true, share: 10, file: None },
    ];
    for change in changes {
        record.apply(change, &origin).ok(); // it may be refused
    }
    record.prune(2);
    let _names = (record.name(&record.serving), record.served_for(&record.serving));
    let again = serde_json::to_vec(&record).map(|text| record::read(&text));
    assert!(matches!(again, Ok(Ok(_))), "what a host writes can be read: {again:?}");
}
