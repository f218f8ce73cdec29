//! Live instances: the number that the machine allows, and the eviction of idle ones.
//!
//! At the cap, an idle instance is dropped, of the agent type with most of them for its weight; its actor stays active and
//! gets another one with its next call, for what an activation costs ([`super::idle_memory`]). The cap is no higher than
//! the process's mappings allow ([`most_live_instances`](crate::component::most_live_instances)).

use daca_base::shares::{HeldBack, SharePermit, SharedPool, Weights};
use daca_base::waiters::Waiters;

use super::idle_memory::IdleMemory;
use crate::component::{
    ComponentVersion, InstancePlace, map_count_limit, most_core_instances, most_mapped_instances,
};

/// The default number of live instances, in turns and idle. The budget of memory may allow fewer, and of cheap ones fewer
/// are kept.
pub const DEFAULT_LIVE_INSTANCES: usize = 8_192;

/// Grants places for live instances: one for each, as many core instances as its component has, and one more if it maps
/// its memory. The engine has pools of all of them.
pub(super) struct LiveInstances {
    instances: SharedPool,
    core_instances: SharedPool,
    /// Those among the instances that map their memory.
    mapped: SharedPool,
    /// The memory of idle actors.
    pub(super) idle: IdleMemory,
    waiters: Waiters,
}

impl LiveInstances {
    pub(super) fn new(cap: usize, weights: &Weights) -> LiveInstances {
        LiveInstances {
            instances: SharedPool::new("live instances", cap, weights),
            core_instances: SharedPool::new("core instances", most_core_instances(cap), weights),
            mapped: SharedPool::new(
                "instances with mapped memory",
                most_mapped_instances(cap, map_count_limit()),
                weights,
            ),
            idle: IdleMemory::default(),
            waiters: Waiters::default(),
        }
    }

    /// Acquires a place for an instance of this version. It evicts idle ones, and waits only if every instance that may be
    /// evicted for this type is in a turn.
    pub(super) async fn place(&self, agent_type: &str, version: &ComponentVersion) -> InstancePlace {
        // The scarcest one first, so that who waits for it takes nothing from the others.
        let mapped = match version.is_mapped() {
            true => Some(self.part(&self.mapped, agent_type, 1).await),
            false => None,
        };
        let instance = self.part(&self.instances, agent_type, 1).await;
        let core = self.part(&self.core_instances, agent_type, version.outline.core_instances).await;
        InstancePlace { instance, core, mapped }
    }

    async fn part(&self, pool: &SharedPool, agent_type: &str, amount: usize) -> SharePermit {
        loop {
            if let Some(part) = pool.try_now(agent_type, amount) {
                return part;
            }
            // Those that wait and come first are no reason to evict.
            if pool.has_room(agent_type, amount) || !self.evict_from(pool, agent_type) {
                break;
            }
        }
        let _waiting = self.waiters.begin();
        // One that became idle before this one waited was not dropped by itself.
        if !pool.has_room(agent_type, amount) {
            self.evict_from(pool, agent_type);
        }
        pool.acquire(agent_type, amount).await
    }

    /// Why a type gets no place, if that is its share.
    pub(super) fn held_back(&self, agent_type: &str) -> Option<HeldBack> {
        let pools = [&self.mapped, &self.instances, &self.core_instances];
        let mut refused = pools.into_iter().filter_map(|pool| pool.check(agent_type, 1).err());
        refused.find(|held_back| held_back.is_beyond)
    }

    /// Drops an idle instance of the type that has most of them for its weight, for another one of this type.
    /// Returns `false` if there is none: a type keeps its floor.
    pub(super) fn evict_for(&self, agent_type: &str) -> bool {
        self.evict_from(&self.instances, agent_type)
    }

    fn evict_from(&self, pool: &SharedPool, agent_type: &str) -> bool {
        pool.givers(agent_type).iter().any(|giver| self.idle.give_up_instance_of(giver))
    }

    /// Drops an idle instance for whoever waits. An instance of this type has become idle.
    pub(super) fn evict_for_waiting(&self, agent_type: &str) {
        for pool in [&self.mapped, &self.instances, &self.core_instances] {
            if let Some(waiting) = pool.next_waiting()
                && self.evict_from(pool, &waiting)
            {
                return;
            }
        }
        // One that does not stand in line yet.
        self.evict_for(agent_type);
    }

    /// Returns `true` if somebody waits for a place. An instance that becomes idle should then be dropped.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiters.any()
    }

    /// The number of live instances, and the maximum.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.instances.used(), self.instances.capacity())
    }

    /// What the types share.
    pub(super) fn pools(&self) -> [SharedPool; 3] {
        [self.instances.clone(), self.core_instances.clone(), self.mapped.clone()]
    }
}
