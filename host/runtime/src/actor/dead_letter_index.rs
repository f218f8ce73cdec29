//! The index of the actors that have dead letters, in the state that the hosts of an app share: behind a sidecar nobody
//! can list the keys of a store. Without such a state there is no index, and the backend lists the actors itself.
//!
//! There is one record for each agent type. An actor is in it before its first dead letter is, and leaves it after the
//! last one. Changes that could not be written are tried again, so the index may lag behind. An actor that is in it
//! without a reason leaves it when its host looks for its dead letters; one that is missing enters it with its next dead
//! letter, or when somebody asks for its effects.
//!
//! So many changes may wait that further ones are dropped. Then no actor gets its first dead letter: what was given up
//! stays in its effect log, and is tried again later. A dropped change is therefore only ever one of an actor that is in
//! the index without a reason.

mod counts;
mod left_out;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_model::ActorAddress;
use daca_model::backend::{self, Backend, SharedStore, change_shared, stored_json};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use self::counts::Counts;
use self::record::{MAX_ACTORS, Record};

/// Changes that wait to be written.
const MAX_CHANGES: usize = 10_000;
/// The pause after a failed write.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// The interval at which the index is read for the metrics.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);
/// The time for which a turn waits until its actor is in the index.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(2);

/// The index.
pub(super) struct DeadLetterIndex {
    store: Option<Arc<dyn SharedStore>>,
    /// What the store is to be told: whether these actors have dead letters.
    changes: Mutex<BTreeMap<ActorAddress, bool>>,
    changed: Notify,
    /// Permits one write at a time, so that an older change never follows a newer one.
    writes: Semaphore,
    /// The changes that were dropped because too many wait.
    dropped: AtomicU64,
    /// It was logged that changes are dropped.
    has_warned: AtomicBool,
    counts: Counts,
}

impl DeadLetterIndex {
    /// The index of the app whose hosts share this store.
    pub(super) fn new(store: Option<Arc<dyn SharedStore>>) -> DeadLetterIndex {
        DeadLetterIndex {
            store,
            changes: Mutex::default(),
            changed: Notify::new(),
            writes: Semaphore::new(1),
            dropped: AtomicU64::new(0),
            has_warned: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// The changes that were dropped because too many wait.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Tells the index later whether an actor has dead letters. Returns `false` if too many changes wait, and this one is
    /// dropped.
    pub(super) fn note(&self, actor: &ActorAddress, has_letters: bool) -> bool {
        if self.store.is_none() {
            self.counts.note(actor, has_letters);
            return true;
        }
        let mut changes = self.changes.lock();
        let has_room = changes.len() < MAX_CHANGES || changes.contains_key(actor);
        if has_room {
            changes.insert(actor.clone(), has_letters);
        }
        drop(changes);
        self.changed.notify_one();
        if !has_room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.warn();
        }
        has_room
    }

    /// Logs that changes are dropped, once until they could be written.
    fn warn(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let code = ErrorCode::DeadLetterIndexFull.as_str();
            tracing::warn!(
                code,
                "{MAX_CHANGES} changes of the index of dead letters wait for the store; until they are written, no further actor gets its first dead letter"
            );
        }
    }

    /// Tells the index that an actor is about to get a dead letter. It waits a while if that `is_first`: once the dead
    /// letter is committed, a host that dies tells nobody. Returns `false` if the index would not learn of the actor: it
    /// must not get its first dead letter then.
    pub(super) async fn announce(&self, actor: &ActorAddress, is_first: bool) -> bool {
        let Some(store) = &self.store else { return self.note(actor, true) };
        if !is_first {
            self.note(actor, true);
            return true;
        }
        let write = async {
            let _alone = self.writes.acquire().await;
            self.changes.lock().remove(actor);
            update(&**store, &actor.agent_type, &[(actor.id.clone(), true)].into()).await
        };
        match tokio::time::timeout(ANNOUNCE_TIMEOUT, write).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::debug!(%actor, "the index of dead letters is not written yet: {error}")
            }
            Err(_elapsed) => tracing::debug!(%actor, "the index of dead letters is not written yet"),
        }
        self.note(actor, true)
    }

    /// Writes the changes. Runs until it is dropped.
    pub(super) async fn run(&self) {
        let Some(store) = &self.store else { return std::future::pending().await };
        loop {
            let is_idle = self.changes.lock().is_empty();
            if is_idle {
                self.changed.notified().await;
            }
            if let Err(error) = self.write_changes(&**store).await {
                tracing::debug!("the index of dead letters is not written yet: {error}");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn write_changes(&self, store: &dyn SharedStore) -> Result<(), backend::Error> {
        let _alone = self.writes.acquire().await;
        let changes = std::mem::take(&mut *self.changes.lock());
        let mut by_type = BTreeMap::<Arc<str>, BTreeMap<Arc<str>, bool>>::new();
        for (ActorAddress { agent_type, id }, has_letters) in changes {
            by_type.entry(agent_type).or_default().insert(id, has_letters);
        }
        let mut result = Ok(());
        for (agent_type, changes) in by_type {
            if let Err(error) = update(store, &agent_type, &changes).await {
                self.put_back(&agent_type, changes);
                result = Err(error);
            }
        }
        if result.is_ok() {
            self.has_warned.store(false, Ordering::Relaxed);
        }
        result
    }

    /// What was noted since is newer.
    fn put_back(&self, agent_type: &Arc<str>, changes: BTreeMap<Arc<str>, bool>) {
        let mut waiting = self.changes.lock();
        for (id, has_letters) in changes {
            let actor = ActorAddress { agent_type: agent_type.clone(), id };
            waiting.entry(actor).or_insert(has_letters);
        }
    }

    /// The actors of some agent types that have dead letters, and the number of those that did not fit.
    pub(super) async fn read(
        &self,
        agent_types: &[Arc<str>],
    ) -> Result<(BTreeSet<ActorAddress>, u64), backend::Error> {
        let (mut actors, mut left_out) = (BTreeSet::new(), 0_u64);
        for (agent_type, record) in self.records(agent_types).await? {
            left_out = left_out.saturating_add(record.left_out);
            // Others can write the store, too.
            let ids = record.actors.iter().take(MAX_ACTORS);
            actors.extend(ids.filter_map(|id| ActorAddress::new(&agent_type, id).ok()));
        }
        Ok((actors, left_out))
    }

    /// The number of actors of each agent type that have dead letters, on all hosts, as far as this one knows.
    pub(super) fn counts(&self) -> BTreeMap<Arc<str>, u64> {
        if self.store.is_some() { self.counts.read() } else { self.counts.own() }
    }

    /// Keeps [`DeadLetterIndex::counts`]. Runs until it is dropped, or for as long as there is something to find.
    pub(super) async fn count(&self, agent_types: &[Arc<str>], backend: &dyn Backend) {
        if self.store.is_none() {
            return self.counts.find(backend).await;
        }
        loop {
            match self.records(agent_types).await {
                Ok(records) => self.counts.set_read(records),
                Err(error) => tracing::debug!("the index of dead letters cannot be read now: {error}"),
            }
            tokio::time::sleep(COUNT_INTERVAL).await;
        }
    }

    /// The records of some agent types.
    async fn records(&self, agent_types: &[Arc<str>]) -> Result<Vec<(Arc<str>, Record)>, backend::Error> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let keys = agent_types.iter().map(|name| key(name)).collect::<Vec<_>>();
        let values = store.read(&keys).await?;
        let mut records = Vec::new();
        for ((agent_type, key), value) in agent_types.iter().zip(&keys).zip(values) {
            if let Some(value) = value {
                records.push((agent_type.clone(), Record::read(key, &value.value)?));
            }
        }
        Ok(records)
    }
}

fn key(agent_type: &str) -> String {
    format!("daca-dead-letters-{agent_type}")
}

/// Changes the record of an agent type, unless it is as it should be already.
async fn update(
    store: &dyn SharedStore,
    agent_type: &str,
    changes: &BTreeMap<Arc<str>, bool>,
) -> Result<(), backend::Error> {
    let key = key(agent_type);
    let change = |value: Option<Bytes>| {
        let before = value.map_or_else(|| Ok(Record::new()), |value| Record::read(&key, &value))?;
        let mut record = before.clone();
        record.apply(changes);
        if record == before { Ok(None) } else { stored_json(&record).map(Some) }
    };
    if change_shared(store, &key, change).await? {
        return Ok(());
    }
    Err(backend::Error::Unavailable("other hosts write it all the time".into()))
}

#[cfg(test)]
mod tests;
