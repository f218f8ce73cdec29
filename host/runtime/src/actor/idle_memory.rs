//! The memory of idle actors: their instances, and the state that they keep between their turns.
//!
//! Either may be given up at any time: the actor's next turn makes an instance again, and reads its state again. What is
//! worth least ([`super::worth`]) goes first when memory is needed. Of cheap instances only a few are kept at all, and they
//! go before all else: beyond those of the actors that are called again within moments, they save nothing, and memory that
//! is not used is free for what costs more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daca_base::memory::Givers;

use super::idle_entries::IdleEntries;
use super::kept_instances::KeptInstances;
use super::reclaim_list::{ReclaimList, Taken};
use super::record::Activation;
use super::worth::{Rank, Worth};
use crate::component::Instance;

/// State of so few bytes has no entry: that costs as much as what it would give back.
const SMALL_STATE: u64 = 1024;
/// What it costs to read an actor's state again. It is 0.1 ms from a file, and some milliseconds from another process.
const READING: Duration = Duration::from_millis(1);

/// What idle actors could give up.
#[derive(Default)]
pub(super) struct IdleMemory {
    worth: Worth,
    pub(super) kept: KeptInstances,
    cheap: ReclaimList,
    costly: ReclaimList,
    caches: ReclaimList,
}

impl IdleMemory {
    /// An activation is idle from now on, with this instance and so many bytes of state.
    pub(super) fn idle(
        &self,
        activation: &Arc<Activation>,
        instance: Option<&Instance>,
        cached: u64,
    ) -> IdleEntries {
        let instance = instance.map(|instance| {
            let version = instance.version();
            let (cost, is_cheap) = (version.activation_cost().read(), version.is_cheap());
            // Among cheap ones, whose costs differ by chance, the one that was used longest ago goes first.
            let bytes = instance.reserved();
            let worth = if is_cheap { 0 } else { self.worth.of(cost, bytes) };
            (self.instances(is_cheap).push(activation, worth, bytes), is_cheap)
        });
        let cache = (cached > SMALL_STATE)
            .then(|| self.caches.push(activation, self.worth.of(READING, cached), cached));
        IdleEntries { instance, cache }
    }

    /// An activation of this type is not idle any more.
    pub(super) fn busy(&self, agent_type: &str, entries: IdleEntries) {
        let IdleEntries { instance, cache } = entries;
        if let Some((rank, is_cheap)) = instance {
            self.instances(is_cheap).remove(agent_type, rank);
        }
        if let Some(rank) = cache {
            self.caches.remove(agent_type, rank);
        }
    }

    /// Drops an idle instance of an agent type, a cheap one if there is any. Returns `false` if none is idle.
    pub(super) fn evict_instance_of(&self, agent_type: &str) -> bool {
        while let Some(taken) = self.cheap.pop_least_of(agent_type) {
            if taken.activation.evict_instance(taken.rank) {
                return true;
            }
        }
        while let Some(taken) = self.costly.pop_least_of(agent_type) {
            if taken.activation.evict_instance(taken.rank) {
                self.worth.note_evicted(taken.rank.worth);
                return true;
            }
        }
        false
    }

    /// Gives up an idle instance or an idle actor's state of these agent types: first the cheap instances, then what is
    /// worth least. Returns `false` if there is neither.
    pub(super) fn evict_any(&self, givers: &Givers<'_>) -> bool {
        loop {
            let lists = [&self.cheap, &self.costly, &self.caches];
            let is_evicted = match lists.map(|list| list.least(givers)) {
                [None, None, None] => return false,
                [Some(_), _, _] => self.evict_cheap(self.cheap.pop_least(givers)),
                [None, Some(instance), Some(cache)] if cache.worth < instance.worth => {
                    self.evict_cache(givers)
                }
                [None, Some(_), _] => self.evict(self.costly.pop_least(givers), Activation::evict_instance),
                [None, None, Some(_)] => self.evict_cache(givers),
            };
            if is_evicted {
                return true;
            }
        }
    }

    /// The bytes that [`IdleMemory::evict_any`] evicts for somebody.
    pub(super) fn bytes(&self, givers: &Givers<'_>) -> u64 {
        let mut of_types = BTreeMap::new();
        for list in [&self.cheap, &self.costly, &self.caches] {
            list.add_bytes(&mut of_types);
        }
        of_types.iter().map(|(agent_type, bytes)| givers.most(agent_type).min(*bytes)).sum()
    }

    /// Drops cheap instances beyond the few that are kept, of the type that has most of them.
    pub(super) fn trim(&self) {
        while self.cheap.len() > self.kept.most() {
            self.evict_cheap(self.cheap.pop_least_of_most());
        }
    }

    /// All idle activations with an instance.
    pub(super) fn with_instance(&self) -> Vec<Arc<Activation>> {
        [self.cheap.all(), self.costly.all()].concat()
    }

    /// Gives up a cheap instance. It says nothing of what others are worth: cheap ones come and go with every turn.
    fn evict_cheap(&self, taken: Option<Taken>) -> bool {
        let Some(Taken { activation, rank, .. }) = &taken else { return false };
        let is_evicted = activation.evict_instance(*rank);
        if is_evicted {
            activation.evicted.store(self.kept.evicts(), Ordering::Relaxed);
        }
        is_evicted
    }

    fn evict_cache(&self, givers: &Givers<'_>) -> bool {
        self.evict(self.caches.pop_least(givers), Activation::evict_cache)
    }

    /// Gives up the first entry of a list. It may be out of date: then nothing is given up.
    fn evict(&self, taken: Option<Taken>, evict: fn(&Activation, Rank) -> bool) -> bool {
        let Some(taken) = taken else { return false };
        let is_evicted = evict(&taken.activation, taken.rank);
        if is_evicted {
            self.worth.note_evicted(taken.rank.worth);
        }
        is_evicted
    }

    fn instances(&self, is_cheap: bool) -> &ReclaimList {
        if is_cheap { &self.cheap } else { &self.costly }
    }
}
