//! The selection of the version that serves an actor.
//!
//! A swap replaces one value, the [`TrafficSplit`]. A turn reads it once, before it begins, and keeps that version: a
//! running turn ends on its version, and the next one begins on the new version.
//!
//! The types are generic over the version, so that deployments can be tested without an engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::sync::SetOnce;

use super::{ComponentVersion, Instance};

/// The time for which a turn waits until the serving version is known.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A version that serves actors, with its label and counters.
pub struct LoadedVersion<V = ComponentVersion> {
    /// The version.
    pub version: Arc<V>,
    /// The label of the version: its own, that of its deployment, or the first digits of its digest.
    pub label: Arc<str>,
    /// Its counters since the host started.
    pub counters: Arc<Counters>,
}

impl LoadedVersion {
    /// Returns `true` if an instance is of this version.
    pub fn is_of(&self, instance: &Instance) -> bool {
        instance.version().outline.digest == self.version.outline.digest
    }
}

/// The counters of a version since the host started. Turns count; canary analysis and the admin API read.
#[derive(Debug, Default)]
pub struct Counters {
    turns: AtomicU64,
    failed_turns: AtomicU64,
    faults: AtomicU64,
}

/// The outcome of a turn for its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEnd {
    /// It succeeded, or failed through no fault of the agent: its caller was refused, or a service was unavailable.
    Well,
    /// The agent returned a failure.
    Failed,
    /// It trapped or exceeded a limit.
    Fault,
}

/// The values of [`Counters`] at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Turns that ended.
    pub turns: u64,
    /// Those that failed by the agent's fault.
    pub failed_turns: u64,
    /// Those in which the guest trapped or exceeded a limit.
    pub faults: u64,
}

impl Counters {
    /// Counts a turn.
    pub fn count(&self, end: TurnEnd) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if end != TurnEnd::Well {
            self.failed_turns.fetch_add(1, Ordering::Relaxed);
        }
        if end == TurnEnd::Fault {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads the counters. Failures first, so that there are never more of them than turns.
    pub fn read(&self) -> Counted {
        let faults = self.faults.load(Ordering::Relaxed);
        let failed_turns = self.failed_turns.load(Ordering::Relaxed);
        Counted { turns: self.turns.load(Ordering::Relaxed), failed_turns, faults }
    }
}

/// The versions that serve the actors of an agent type at one time.
pub struct TrafficSplit<V = ComponentVersion> {
    /// Serves all actors except those of the canary and the pins.
    pub serving: Arc<LoadedVersion<V>>,
    /// A version that serves a share of the actors, in percent.
    pub canary: Option<(Arc<LoadedVersion<V>>, u8)>,
    /// Pinned actors, by id.
    pub pins: BTreeMap<String, Arc<LoadedVersion<V>>>,
    /// The label of state that no version has migrated. `None` if no version of this type ever had a migration: then
    /// the schema of an actor's state need not be read.
    pub first_label: Option<Arc<str>>,
}

/// Not derived: that would demand of a version that it can be cloned.
impl<V> Clone for TrafficSplit<V> {
    fn clone(&self) -> TrafficSplit<V> {
        TrafficSplit {
            serving: self.serving.clone(),
            canary: self.canary.clone(),
            pins: self.pins.clone(),
            first_label: self.first_label.clone(),
        }
    }
}

impl<V> TrafficSplit<V> {
    /// The version for an actor: always the same one, on every host, as long as nothing is deployed.
    pub fn choose(&self, actor_id: &str) -> &Arc<LoadedVersion<V>> {
        if let Some(pinned) = self.pins.get(actor_id) {
            return pinned;
        }
        match &self.canary {
            Some((canary, share)) if percentile(actor_id) < *share => canary,
            _ => &self.serving,
        }
    }
}

/// The position of an actor among all of its type, from 0 to 99. It uses a hash that is the same in every process, and
/// that does not depend on the version: a growing share keeps the actors that it had.
fn percentile(actor_id: &str) -> u8 {
    let hash = Sha256::digest(actor_id);
    let number = hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    (number % 100) as u8
}

/// The current rollout of an agent type. There is one for each type; turns read it, deployments replace it.
pub struct ActiveRollout<V = ComponentVersion> {
    split: RwLock<Arc<TrafficSplit<V>>>,
    /// Set once the split is the one that all hosts have. Each turn asks for it, without a lock.
    known: SetOnce<()>,
}

/// The serving version is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("which version serves is not known yet")]
pub struct NotKnown;

impl<V> ActiveRollout<V> {
    /// Starts with a split. If other hosts decide as well, it is not known before they were asked.
    pub fn new(split: TrafficSplit<V>, is_known: bool) -> ActiveRollout<V> {
        let known = SetOnce::new_with(is_known.then_some(()));
        ActiveRollout { split: RwLock::new(Arc::new(split)), known }
    }

    /// Returns the split, for a turn that begins now. Waits while it is unknown, for ten seconds at most.
    pub async fn known(&self) -> Result<Arc<TrafficSplit<V>>, NotKnown> {
        if !self.known.initialized() {
            tokio::time::timeout(KNOWN_TIMEOUT, self.known.wait()).await.map_err(|_elapsed| NotKnown)?;
        }
        Ok(self.now())
    }

    /// Returns the split for inspection.
    pub fn now(&self) -> Arc<TrafficSplit<V>> {
        self.split.read().clone()
    }

    /// Swaps the split. Turns that begin after this use the new one.
    pub fn replace(&self, split: TrafficSplit<V>) {
        let split = Arc::new(split);
        let before = std::mem::replace(&mut *self.split.write(), split);
        // Dropped after the lock: it may be the last handle on a version, whose code is unmapped then.
        drop(before);
    }

    /// Marks the split as the one that all hosts have.
    pub fn set_known(&self) {
        self.known.set(()).ok(); // it may be known already
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_share_is_spread_evenly_and_keeps_its_actors_when_it_grows() {
        let percentiles = (0..10_000).map(|n| percentile(&format!("user{n}"))).collect::<Vec<_>>();
        for share in [1, 10, 50, 99] {
            let part = percentiles.iter().filter(|percentile| **percentile < share).count();
            let expected = usize::from(share) * 100;
            assert!(part.abs_diff(expected) < 200, "{share} %: {part} of 10,000");
        }
        assert!(percentiles.iter().all(|percentile| *percentile < 100));
    }
}
