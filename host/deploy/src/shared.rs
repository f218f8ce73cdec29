//! The state that the hosts of an app share for an agent type: its record, and the bytes of its versions.
//!
//! It is in a state store, not on a topic: a topic delivers an event to one host of an app, and to none that starts
//! later, while every host must find the serving version at any time. Writes carry the etag of the value that they are
//! based on, so of two hosts that deploy at once one wins, and the other gets a conflict.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::library::Stored;
use super::record::Record;
use daca_base::digest::digest;
use daca_model::LARGEST_COMPONENT;
use daca_model::backend::{self, SharedStore, SharedWriteError, stored_json};

/// The bytes of a component under one key: within the sidecar's limit of a message (4 MiB), and the limits of most
/// stores.
const CHUNK: usize = 512 * 1024;
/// The number of chunks of the largest component.
const MOST_CHUNKS: usize = LARGEST_COMPONENT as usize / CHUNK + 1;

/// The maximum number of changes of a record: a change each second for millions of years.
const MOST_REVISIONS: u64 = 1 << 48;

/// The shared state of one agent type.
#[derive(Clone)]
pub(super) struct Shared {
    store: Arc<dyn SharedStore>,
    agent_type: Arc<str>,
}

/// The number of chunks of a component.
#[derive(Serialize, Deserialize)]
struct Head {
    chunks: usize,
    signature: Option<String>,
}

impl Shared {
    pub(super) fn new(store: Arc<dyn SharedStore>, agent_type: Arc<str>) -> Shared {
        Shared { store, agent_type }
    }

    /// The record and its etag; `None` if no host has written one.
    pub(super) async fn read(&self) -> Result<Option<(Record, String)>, backend::Error> {
        let read = self.store.read(&[self.record_key()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(None) };
        let record = read_record(&value.value).map_err(|reason| {
            backend::Error::Other(format!("the shared record was not written by a host: {reason}"))
        })?;
        Ok(Some((record, value.etag)))
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
            if wasm.len() as u64 > LARGEST_COMPONENT {
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
        Ok(head.filter(|head| head.chunks <= MOST_CHUNKS))
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

/// Parses values that others may have written into the shared state, and continues with them. For fuzzing.
pub fn read_stored(text: &[u8]) {
    use super::record::{Change, Origin, Source};
    let _head = daca_base::json::read::<Head>(text);
    if let Ok(mut record) = read_record(text) {
        let origin = Origin { source: Source::Host, by: String::new() };
        let roll_back = Change::RollBack { force: true, text: String::new(), only: None };
        let refuse =
            Change::Refuse { version: record.serving.clone(), code: String::new(), text: String::new() };
        for change in [refuse, roll_back] {
            let _changed = record.apply(change, &origin);
        }
        let _pruned = record.prune(2);
        let _said = (record.name(&record.serving), record.served_for(&record.serving));
    }
}

/// Parses a record, and rejects one that no host has written: others can write the store, too.
fn read_record(text: &[u8]) -> Result<Record, String> {
    let record: Record = daca_base::json::read(text).map_err(|error| error.to_string())?;
    // They become file names.
    let in_use = record.in_use();
    let mut names = record.versions.keys().chain(&in_use).chain(&record.before);
    if let Some(name) = names.find(|name| !is_digest(name)) {
        return Err(format!("{name:?} is not a SHA-256"));
    }
    // Each change increments it.
    if record.revision > MOST_REVISIONS {
        return Err(format!("{} is not a valid revision", record.revision));
    }
    if record.canary.as_ref().is_some_and(|canary| !(1..=99).contains(&canary.share)) {
        return Err("the canary has no share of 1 to 99 percent".into());
    }
    Ok(record)
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
