//! The outbox: the host's effects and their outcomes, for inspection.
//!
//! It keeps every waiting effect and the last [`KEPT`] settled ones, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::ActorAddress;
use crate::backend::{BindingRequest, Effect, EffectKind, EffectRequest};
use crate::shown_effect::{readable, shown_metadata};

/// The number of settled effects that are kept.
const KEPT: usize = 1_000;

/// A list of effects, shared by senders and readers.
#[derive(Debug, Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    pending: BTreeMap<u64, OutboxEntry>,
    settled: VecDeque<OutboxEntry>,
    counts: OutboxCounts,
}

/// The numbers of effects since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxCounts {
    /// Waiting for delivery, or in delivery.
    pub pending: usize,
    /// Delivered.
    pub sent: u64,
    /// Dropped.
    pub failed: u64,
}

/// One effect, as the admin API shows it: `Effect` in its description, whose fields these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Number since the host's start.
    pub id: u64,
    /// The actor that requested it, as `TYPE/ID`.
    pub actor: String,
    /// The turn that requested it.
    pub turn: String,
    /// What it asks for.
    pub kind: EffectKind,
    /// `PUBSUB/TOPIC` or `BINDING/OPERATION`.
    pub target: String,
    /// The payload as text, or in base64 if it is not text; cut after 4,096 bytes.
    pub data: String,
    /// The metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Its outcome.
    pub status: EffectStatus,
    /// The number of tries that were made to deliver it.
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds since 1970 when the turn committed.
    pub created_unix_ms: u64,
}

/// The outcome of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectStatus {
    /// Waiting for delivery, or in delivery.
    Pending,
    /// Delivered.
    Sent,
    /// Dropped.
    Failed,
}

impl Outbox {
    /// Adds an effect that waits for delivery, and returns its number.
    pub fn add(&self, actor: &ActorAddress, effect: &Effect) -> u64 {
        let turn = effect.turn();
        let request = &effect.request;
        let entry = match request {
            EffectRequest::Publish { event, .. } => {
                entry(actor, turn, EffectKind::Publish, request.shown_target(), event, BTreeMap::new())
            }
            EffectRequest::Send(request) => binding_entry(actor, turn, EffectKind::Send, request),
        };
        self.insert(entry)
    }

    /// Adds a binding call that was made at once and is not an effect.
    pub fn add_invocation(&self, actor: &ActorAddress, request: &BindingRequest) {
        let id = self.insert(binding_entry(actor, "", EffectKind::Invoke, request));
        self.attempted(id, 1, None);
        self.settle(id, EffectStatus::Sent);
    }

    /// Records so many tries, and why the last one failed. Returns the number of all tries.
    pub fn attempted(&self, id: u64, attempts: u32, error: Option<String>) -> u32 {
        let mut inner = self.lock();
        let Some(entry) = inner.pending.get_mut(&id) else { return attempts };
        entry.attempts = entry.attempts.saturating_add(attempts);
        entry.error = error;
        entry.attempts
    }

    /// The tries at a waiting effect, and why the last one failed.
    pub fn tries(&self, id: u64) -> (u32, Option<String>) {
        let inner = self.lock();
        inner.pending.get(&id).map_or((0, None), |entry| (entry.attempts, entry.error.clone()))
    }

    /// The waiting effects of each agent type.
    pub fn pending_by_type(&self) -> BTreeMap<String, usize> {
        let mut pending = BTreeMap::new();
        for entry in self.lock().pending.values() {
            let (agent_type, _) = entry.actor.split_once('/').unwrap_or((entry.actor.as_str(), ""));
            match pending.get_mut(agent_type) {
                Some(count) => *count += 1,
                None => drop(pending.insert(agent_type.to_owned(), 1)),
            }
        }
        pending
    }

    /// Records the outcome of an effect.
    pub fn settle(&self, id: u64, status: EffectStatus) {
        self.end(id, 0, status);
    }

    /// Records that an effect was delivered with so many tries: [`Outbox::attempted`] and [`Outbox::settle`] in one.
    pub fn sent(&self, id: u64, attempts: u32) {
        self.end(id, attempts, EffectStatus::Sent);
    }

    fn end(&self, id: u64, attempts: u32, status: EffectStatus) {
        let mut inner = self.lock();
        let Some(mut entry) = inner.pending.remove(&id) else { return };
        entry.attempts = entry.attempts.saturating_add(attempts);
        if status == EffectStatus::Sent {
            entry.error = None;
        }
        entry.status = status;
        match status {
            EffectStatus::Failed => inner.counts.failed += 1,
            EffectStatus::Sent | EffectStatus::Pending => inner.counts.sent += 1,
        }
        let oldest = if inner.settled.len() == KEPT { inner.settled.pop_front() } else { None };
        inner.settled.push_back(entry);
        drop(inner);
        // After the lock, which all turns with effects share: it frees several texts.
        drop(oldest);
    }

    /// Removes an effect that this host does not send after all, because another one has.
    pub fn forget(&self, id: u64) {
        self.lock().pending.remove(&id);
    }

    /// The current numbers.
    pub fn counts(&self) -> OutboxCounts {
        let inner = self.lock();
        OutboxCounts { pending: inner.pending.len(), ..inner.counts }
    }

    /// All kept entries, waiting ones first, each group from old to new.
    pub fn entries(&self) -> Vec<OutboxEntry> {
        let inner = self.lock();
        inner.pending.values().chain(&inner.settled).cloned().collect()
    }

    fn insert(&self, mut entry: OutboxEntry) -> u64 {
        let mut inner = self.lock();
        inner.next_id += 1;
        entry.id = inner.next_id;
        let id = entry.id;
        inner.pending.insert(id, entry);
        id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

fn binding_entry(
    actor: &ActorAddress,
    turn: &str,
    kind: EffectKind,
    request: &BindingRequest,
) -> OutboxEntry {
    entry(actor, turn, kind, request.shown_target(), &request.data, request.metadata.clone())
}

fn entry(
    actor: &ActorAddress,
    turn: &str,
    kind: EffectKind,
    target: String,
    data: &[u8],
    metadata: BTreeMap<String, String>,
) -> OutboxEntry {
    OutboxEntry {
        id: 0,
        // In one piece: there is one with each effect.
        actor: [&*actor.agent_type, "/", &*actor.id].concat(),
        turn: turn.to_owned(),
        kind,
        target,
        data: readable(data),
        metadata: shown_metadata(metadata),
        status: EffectStatus::Pending,
        attempts: 0,
        error: None,
        created_unix_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
    }
}
