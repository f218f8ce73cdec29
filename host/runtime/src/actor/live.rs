//! Live instances: the number that the machine allows, and the eviction of idle ones.
//!
//! At the cap, an idle instance is dropped, of the agent type with most of them for its weight; its actor stays active and
//! gets another one with its next call, for what an activation costs ([`super::idle_memory`]). The cap is no higher than
//! the process's mappings allow ([`most_live_instances`](crate::component::most_live_instances)).

use daca_base::shares::{HeldBack, SharePermit, SharedPool, Weights};
use daca_base::waiters::Waiters;

use super::idle_memory::IdleMemory;
use crate::component::{
    ComponentVersion, Engine, InstancePlace, map_count_limit, most_core_instances, most_mapped_instances,
};

/// The default number of live instances, in turns and idle. The budget of memory may allow fewer, and of cheap ones fewer
/// are kept.
pub const DEFAULT_LIVE_INSTANCES: usize = 8_192;

/// Grants places for live instances: one for each, as many core instances and memories as its component has, and one more
/// if it maps its memory. The engine has pools of all of them, and none of those is used up before these.
pub(super) struct LiveInstances {
    instances: SharedPool,
    core_instances: SharedPool,
    /// The memories of those whose memory is copied.
    memories: SharedPool,
    /// Those among the instances that map their memory.
    mapped: SharedPool,
    /// Their memories.
    mapped_memories: SharedPool,
    /// The memory of idle actors.
    pub(super) idle: IdleMemory,
    waiters: Waiters,
}

impl LiveInstances {
    pub(super) fn new(engine: &Engine, cap: usize, weights: &Weights) -> LiveInstances {
        let [memories, mapped_memories] = engine.most_memories();
        LiveInstances {
            instances: SharedPool::new("live instances", cap, weights),
            core_instances: SharedPool::new("core instances", most_core_instances(cap), weights),
            memories: SharedPool::new("memories of instances", memories, weights),
            mapped: SharedPool::new(
                "instances with mapped memory",
                most_mapped_instances(cap, map_count_limit()),
                weights,
            ),
            mapped_memories: SharedPool::new("mapped memories of instances", mapped_memories, weights),
            idle: IdleMemory::default(),
            waiters: Waiters::default(),
        }
    }

    /// Acquires a place for an instance of this version. It evicts idle ones, and waits only if every instance that may be
    /// evicted for this type is in a turn.
    pub(super) async fn place(&self, agent_type: &str, version: &ComponentVersion) -> InstancePlace {
        // The scarcest one first, so that who waits for it takes nothing from the others. All types take them in this order.
        let (mapped, memories) = match version.is_mapped() {
            true => (Some(self.part(&self.mapped, agent_type, 1).await), &self.mapped_memories),
            false => (None, &self.memories),
        };
        let memories = self.part(memories, agent_type, version.needs.memories).await;
        let instance = self.part(&self.instances, agent_type, 1).await;
        let core = self.part(&self.core_instances, agent_type, version.needs.core_instances).await;
        InstancePlace { instance, core, memories, mapped }
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
        let mut refused = self.in_order().into_iter().filter_map(|pool| pool.check(agent_type, 1).err());
        refused.find(|held_back| held_back.is_beyond)
    }

    /// Drops an idle instance of the type that has most of them for its weight, for another one of this type.
    /// Returns `false` if there is none: a type keeps its floor.
    pub(super) fn evict_for(&self, agent_type: &str) -> bool {
        self.evict_from(&self.instances, agent_type)
    }

    fn evict_from(&self, pool: &SharedPool, agent_type: &str) -> bool {
        pool.givers(agent_type).iter().any(|giver| self.idle.evict_instance_of(giver))
    }

    /// Drops an idle instance for whoever waits. An instance of this type has become idle.
    pub(super) fn evict_for_waiting(&self, agent_type: &str) {
        for pool in self.in_order() {
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
    pub(super) fn pools(&self) -> [SharedPool; 5] {
        let LiveInstances { instances, core_instances, memories, mapped, mapped_memories, .. } = self;
        [instances, core_instances, memories, mapped, mapped_memories].map(SharedPool::clone)
    }

    /// The pools in the order in which an instance takes its places.
    fn in_order(&self) -> [&SharedPool; 5] {
        [&self.mapped, &self.mapped_memories, &self.memories, &self.instances, &self.core_instances]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::component::{Compiling, EngineOptions};

    /// A small guest that has so many memories, each in a component of its own.
    async fn with_memories(engine: &Engine, more: usize) -> ComponentVersion {
        let guest = include_str!("../fake/agent.wat").trim_end();
        let guest = guest.strip_suffix(')').expect("the end of the component");
        let nested = "(component $c (core module $m (memory 1)) (core instance (instantiate $m)))";
        let instances = "(instance (instantiate $c))".repeat(more);
        let wasm =
            wat::parse_str(format!("{guest} {nested} {instances})")).expect("a component in text form");
        let version = ComponentVersion::from_bytes(engine, "a", wasm.into(), Compiling::Serving).await;
        version.expect("a component that can serve")
    }

    /// The engine has 16 memories for 8 instances. A quarter of them is divided among the types in advance.
    #[tokio::test]
    async fn instances_with_many_memories_leave_some_for_the_neighbours() {
        let engine = Engine::new(&EngineOptions::of_tests()).expect("an engine");
        let weights = ["A", "B"].map(|name| (name.into(), 1)).into_iter().collect::<Weights>();
        let live = LiveInstances::new(&engine, 8, &weights);
        let (greedy, small) = (with_memories(&engine, 6).await, with_memories(&engine, 0).await);
        assert_eq!((greedy.needs.memories, small.needs.memories), (7, 1));
        let places = [live.place("A", &greedy).await, live.place("A", &greedy).await];
        let moment = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(moment, live.place("A", &greedy)).await.is_err(),
            "14 are all it can have"
        );
        assert!(tokio::time::timeout(moment, live.place("A", &small)).await.is_err());
        let neighbour = [live.place("B", &small).await, live.place("B", &small).await];
        assert_eq!(live.memories.used(), 16);
        drop((places, neighbour));
        assert_eq!(live.memories.used(), 0);
    }
}
