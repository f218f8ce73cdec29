//! The state of a host's actors, for inspection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daca_base::shares::{ShareUse, SharedPool};
use daca_model::admin::ActivationInfo;
use tokio::time::Instant;

use super::Actors;
use super::agent::AgentRuntime;
use super::record::{Activation, Snapshot};
use crate::component::Counted;
use crate::imports::LINE_BYTES;

/// Statistics of an agent type since the host started.
#[derive(Debug, Clone, Copy)]
pub struct AgentStatistics {
    /// Its turns, on all versions.
    pub counted: Counted,
    /// Instances that were created.
    pub instances_made: u64,
}

/// The current load of an agent type.
#[derive(Debug, Default, Clone, Copy)]
pub struct AgentLoad {
    /// Active actors.
    pub active: usize,
    /// Calls that wait for them.
    pub queued: usize,
    /// Live instances.
    pub instances: usize,
}

impl AgentLoad {
    /// Adds an active actor.
    pub(super) fn add(&mut self, snapshot: &Snapshot) {
        self.active += 1;
        self.queued += snapshot.queued;
        self.instances += usize::from(snapshot.has_instance);
    }
}

impl Actors {
    /// Up to `limit` active actors, by type and id.
    pub fn list(&self, limit: usize) -> Vec<ActivationInfo> {
        let now = Instant::now();
        let first = self.services.active.all().take(limit);
        first.map(|activation| info(&activation, activation.snapshot(now))).collect()
    }

    /// The current load of each agent type with active actors. It locks each actor once, so it is not for a thread that
    /// serves.
    pub fn loads(&self) -> HashMap<Arc<str>, AgentLoad> {
        let now = Instant::now();
        let mut loads = HashMap::<_, AgentLoad>::new();
        for activation in self.services.active.all() {
            let load = loads.entry(activation.address.agent_type.clone()).or_default();
            load.add(&activation.snapshot(now));
        }
        loads
    }

    /// The bytes that the actors of a type have on disk, if the backend knows that.
    pub fn storage_of(&self, agent_type: &str) -> Option<u64> {
        self.services.backend.storage_of(agent_type)
    }

    /// What the agents of each type have logged.
    pub fn log_uses(&self) -> Vec<ShareUse> {
        self.services.log_rate.uses()
    }

    /// Takes a line with so many bytes of an agent's out of what those of its type may log. Returns `false` if it is to be
    /// dropped.
    pub fn may_log(&self, agent_type: &str, bytes: usize) -> bool {
        self.services.log_rate.take(agent_type, LINE_BYTES + bytes).is_ok()
    }

    /// The lines of the log about a type that were dropped because the rate of the log was used up.
    pub fn log_lines_dropped(&self, agent_type: &str) -> u64 {
        self.services.log_rate.refused(agent_type)
    }

    /// What the agent types share on this host.
    pub fn pools(&self) -> Vec<SharedPool> {
        let services = &self.services;
        let mut pools = vec![self.turns().clone()];
        pools.extend(services.live.pools());
        pools.push(services.active.pool().clone());
        pools.push(services.log_rate.pool().clone());
        pools.extend(services.effects.deliveries.pools());
        pools.extend(services.backend.pools());
        pools
    }

    /// The agent types, with the versions that serve them and their statistics.
    pub fn agents(&self) -> Vec<(Arc<AgentRuntime>, AgentStatistics)> {
        let statistics = |agent: &AgentRuntime| AgentStatistics {
            counted: agent.counters.read(),
            instances_made: agent.instances_made.load(Ordering::Relaxed),
        };
        self.runtimes().values().map(|agent| (agent.clone(), statistics(agent))).collect()
    }
}

/// What is shown of an activation.
fn info(activation: &Activation, snapshot: Snapshot) -> ActivationInfo {
    ActivationInfo {
        agent_type: activation.address.agent_type.clone(),
        actor_id: activation.address.id.clone(),
        running: snapshot.is_running,
        queued: snapshot.queued,
        instance: snapshot.has_instance,
        idle_ms: snapshot.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
        turns: snapshot.totals.turns,
    }
}
