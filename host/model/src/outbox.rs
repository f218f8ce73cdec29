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
    pending: BTreeMap<u64, Kept>,
    settled: VecDeque<Kept>,
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
    /// Its identity, which no repetition changes. Empty for a binding call, which is no effect.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
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
        let mut entry = Kept::of_effect(actor, effect);
        let mut inner = self.lock();
        let id = inner.number();
        entry.id = id;
        inner.pending.insert(id, entry);
        id
    }

    /// Adds an effect that was delivered at once, and never waited.
    pub fn add_sent(&self, actor: &ActorAddress, effect: &Effect) {
        self.insert_sent(Kept::of_effect(actor, effect));
    }

    /// Adds a binding call that was made at once and is not an effect.
    pub fn add_invocation(&self, actor: &ActorAddress, request: &BindingRequest) {
        self.insert_sent(Kept::of_binding(actor, "", EffectKind::Invoke, request));
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
            let (agent_type, _) = entry.actor().split_once('/').unwrap_or((entry.actor(), ""));
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
        let oldest = inner.keep(entry);
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
        inner.pending.values().chain(&inner.settled).map(Kept::shown).collect()
    }

    fn insert_sent(&self, mut entry: Kept) {
        (entry.status, entry.attempts) = (EffectStatus::Sent, 1);
        let mut inner = self.lock();
        entry.id = inner.number();
        let oldest = inner.keep(entry);
        drop(inner);
        drop(oldest);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// The number of a new effect.
    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Keeps a settled effect. Returns the oldest one, if it is one too many.
    fn keep(&mut self, entry: Kept) -> Option<Kept> {
        match entry.status {
            EffectStatus::Failed => self.counts.failed += 1,
            EffectStatus::Sent | EffectStatus::Pending => self.counts.sent += 1,
        }
        let oldest = if self.settled.len() == KEPT { self.settled.pop_front() } else { None };
        self.settled.push_back(entry);
        oldest
    }
}

/// An entry as it is kept: most are never looked at, and each is made, moved and freed with a message. So its texts are
/// one piece of memory.
#[derive(Debug)]
struct Kept {
    id: u64,
    kind: EffectKind,
    status: EffectStatus,
    attempts: u32,
    created_unix_ms: u64,
    error: Option<String>,
    /// The actor, the identity, the target and the data, and then the names and values of the metadata.
    texts: Texts,
}

impl Kept {
    fn of_effect(actor: &ActorAddress, effect: &Effect) -> Kept {
        match &effect.request {
            EffectRequest::Publish { pubsub, topic, event } => {
                Kept::of_event(actor, &effect.id, [pubsub, topic], event)
            }
            EffectRequest::Send(request) => Kept::of_binding(actor, &effect.id, EffectKind::Send, request),
        }
    }

    fn of_event(actor: &ActorAddress, identity: &str, [pubsub, topic]: [&str; 2], event: &[u8]) -> Kept {
        Kept::new(EffectKind::Publish, actor, identity, [pubsub, topic], event, &BTreeMap::new())
    }

    fn of_binding(actor: &ActorAddress, identity: &str, kind: EffectKind, request: &BindingRequest) -> Kept {
        let BindingRequest { name, operation, data, metadata } = request;
        Kept::new(kind, actor, identity, [name, operation], data, metadata)
    }

    fn new(
        kind: EffectKind,
        actor: &ActorAddress,
        identity: &str,
        target: [&str; 2],
        data: &[u8],
        metadata: &BTreeMap<String, String>,
    ) -> Kept {
        let (data, metadata) = (readable(data), shown_metadata(metadata));
        let parts = [&*actor.agent_type, "/", &*actor.id, identity, target[0], "/", target[1], &*data];
        let of_metadata = metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let bytes = parts.map(str::len).iter().sum::<usize>() + of_metadata;
        let mut texts = Texts::with_capacity(bytes, 4 + 2 * metadata.len());
        for text in [&parts[..3], &parts[3..4], &parts[4..7], &parts[7..]] {
            texts.add(text);
        }
        for (name, value) in &metadata {
            texts.add(&[&**name]);
            texts.add(&[&**value]);
        }
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        Kept {
            id: 0,
            kind,
            status: EffectStatus::Pending,
            attempts: 0,
            created_unix_ms: created.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            error: None,
            texts,
        }
    }

    fn actor(&self) -> &str {
        self.texts.iter().next().unwrap_or_default()
    }

    fn shown(&self) -> OutboxEntry {
        let mut texts = self.texts.iter().map(str::to_owned);
        let [actor, identity, target, data] = [(); 4].map(|()| texts.next().unwrap_or_default());
        let mut metadata = BTreeMap::new();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            metadata.insert(name, value);
        }
        let Kept { id, kind, status, attempts, created_unix_ms, .. } = *self;
        let error = self.error.clone();
        OutboxEntry {
            id,
            turn: Effect::turn_of(&identity).to_owned(),
            identity,
            actor,
            kind,
            target,
            data,
            metadata,
            status,
            attempts,
            error,
            created_unix_ms,
        }
    }
}

/// Texts in one piece of memory.
#[derive(Debug)]
struct Texts {
    all: String,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Texts {
    fn with_capacity(bytes: usize, texts: usize) -> Texts {
        Texts { all: String::with_capacity(bytes), ends: Vec::with_capacity(texts) }
    }

    /// Adds one text, of these parts.
    fn add(&mut self, parts: &[&str]) {
        self.all.extend(parts.iter().copied());
        self.ends.push(self.all.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(move |(start, end)| &self.all[start..*end])
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_entry_shows_all_that_was_asked_for() {
        let outbox = Outbox::default();
        let actor = ActorAddress::new("A", "ä b").expect("an address");
        let effect = |request| Effect {
            id: Effect::id_of("run-7", 0),
            request,
            delivered_line: None,
            undeliverable_line: None,
            traceparent: None,
            after_failure: false,
        };
        let metadata = [("to", "+1"), ("", "ü")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sms = BindingRequest {
            name: "sms".into(),
            operation: "create".into(),
            data: Bytes::from_static(b"\xff"),
            metadata: metadata.into(),
        };
        let event = Bytes::from_static(b"{}");
        let publish = EffectRequest::Publish { pubsub: "p".into(), topic: "t".into(), event };
        let first = outbox.add(&actor, &effect(publish));
        outbox.add(&actor, &effect(EffectRequest::Send(sms.clone())));
        outbox.add_invocation(&actor, &sms);
        outbox.attempted(first, 2, Some("it is away".to_owned()));
        assert_eq!(outbox.pending_by_type(), BTreeMap::from([("A".to_owned(), 2)]));
        let shown = outbox.entries();
        let lines = shown.iter().map(|entry| {
            let OutboxEntry { id, identity, actor, turn, target, data, metadata, .. } = entry;
            format!("{id} {identity:?} {actor} {turn:?} {target} {data} {metadata:?}")
        });
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "1 \"run-7-0\" A/ä b \"run-7\" p/t {} {}",
                "2 \"run-7-0\" A/ä b \"run-7\" sms/create /w== {\"\": \"ü\", \"to\": \"+1\"}",
                "3 \"\" A/ä b \"\" sms/create /w== {\"\": \"ü\", \"to\": \"+1\"}",
            ]
        );
        let tries = shown.iter().map(|entry| (entry.status, entry.attempts, entry.error.as_deref()));
        let expected = [
            (EffectStatus::Pending, 2_u32, Some("it is away")),
            (EffectStatus::Pending, 0, None),
            (EffectStatus::Sent, 1, None),
        ];
        assert_eq!(tries.collect::<Vec<_>>(), expected);
    }
}
