//! Which version serves which actor of an agent type.
//!
//! A swap replaces one value, the [`Rollout`]. A turn looks at it once, before it begins, and stays on what it found: so a
//! turn that runs ends on its version, and the next one begins on the new version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{ComponentVersion, Instance};

/// How long a turn waits until it is known which version serves.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// A version that serves actors, with its name and what happened in it.
pub struct Served {
    /// The version.
    pub version: Arc<ComponentVersion>,
    /// What the version is called: by itself, by who deployed it, or by the first digits of its digest.
    pub label: Arc<str>,
    /// What happened in it since the host started.
    pub counters: Arc<Counters>,
}

impl Served {
    /// Is it the version that an instance is of?
    pub fn is_of(&self, instance: &Instance) -> bool {
        instance.version().digest == self.version.digest
    }
}

/// What happened in a version since the host started. Counted by turns, read by whoever judges a version or shows it.
#[derive(Debug, Default)]
pub struct Counters {
    turns: AtomicU64,
    failed_turns: AtomicU64,
    faults: AtomicU64,
}

/// How a turn ended, as far as its version is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEnd {
    /// Well, or in a way that is not the agent's fault: its caller was refused, or something was away.
    Well,
    /// The agent said that it failed.
    Failed,
    /// It trapped or exceeded a limit.
    Fault,
}

/// The values of [`Counters`] at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Turns that ended.
    pub turns: u64,
    /// Of these, the ones that failed by the agent's fault.
    pub failed_turns: u64,
    /// Of these, the ones in which the guest trapped or exceeded a limit.
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

    /// What was counted until now. Failures first, so that there are never more of them than turns.
    pub fn read(&self) -> Counted {
        let faults = self.faults.load(Ordering::Relaxed);
        let failed_turns = self.failed_turns.load(Ordering::Relaxed);
        Counted { turns: self.turns.load(Ordering::Relaxed), failed_turns, faults }
    }
}

/// What serves the actors of an agent type at one time.
#[derive(Clone)]
pub struct Rollout {
    /// Serves the actors that nothing else is said of.
    pub serving: Arc<Served>,
    /// A version that serves a share of the actors, in percent.
    pub canary: Option<(Arc<Served>, u8)>,
    /// Actors that are held on a version, by id.
    pub pins: BTreeMap<String, Arc<Served>>,
    /// The label of state that no version has migrated. None when no version of this type was ever able to migrate: then
    /// nobody needs to look at what an actor's state was last kept under.
    pub first_label: Option<Arc<str>>,
}

impl Rollout {
    /// The version for an actor: always the same one, on every host, as long as nothing is deployed.
    pub fn choose(&self, actor_id: &str) -> &Arc<Served> {
        if let Some(pinned) = self.pins.get(actor_id) {
            return pinned;
        }
        match &self.canary {
            Some((canary, share)) if percentile(actor_id) < *share => canary,
            _ => &self.serving,
        }
    }
}

/// Where an actor stands among all of its type, from 0 to 99. By a hash that is the same in every process, and that does not
/// depend on the version: a share that grows keeps the actors that it had.
fn percentile(actor_id: &str) -> u8 {
    let hash = Sha256::digest(actor_id);
    let number = hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    (number % 100) as u8
}

/// The rollout of an agent type as it is now. One for each type; turns read it, the deployment replaces it.
pub struct Serving {
    rollout: RwLock<Arc<Rollout>>,
    is_known: watch::Sender<bool>,
}

/// It is not known yet which version serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("which version serves is not known yet")]
pub struct NotKnown;

impl Serving {
    /// Begins with a rollout. Where other hosts decide as well, it is not known before they were asked.
    pub fn new(rollout: Rollout, is_known: bool) -> Serving {
        Serving { rollout: RwLock::new(Arc::new(rollout)), is_known: watch::Sender::new(is_known) }
    }

    /// The rollout, for a turn that begins now. Waits while it is not known, for ten seconds at most.
    pub async fn known(&self) -> Result<Arc<Rollout>, NotKnown> {
        if !*self.is_known.borrow() {
            let mut is_known = self.is_known.subscribe();
            let known = tokio::time::timeout(KNOWN_WITHIN, is_known.wait_for(|known| *known)).await;
            if !matches!(known, Ok(Ok(_))) {
                return Err(NotKnown);
            }
        }
        Ok(self.now())
    }

    /// The rollout, for those who only look at it.
    pub fn now(&self) -> Arc<Rollout> {
        self.rollout.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Swaps. Turns that begin after this are on the new rollout.
    pub fn replace(&self, rollout: Rollout) {
        let rollout = Arc::new(rollout);
        let before =
            std::mem::replace(&mut *self.rollout.write().unwrap_or_else(PoisonError::into_inner), rollout);
        // Dropped after the lock: it may be the last handle on a version, whose code is unmapped then.
        drop(before);
    }

    /// The rollout is the one that all hosts have.
    pub fn set_known(&self) {
        self.is_known.send_replace(true);
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
