//! What the agent types share, and how busy each of them is.

use std::sync::Arc;

use daca_base::shares::ShareUse;
use daca_runtime::actor::{AgentLoad, AgentRuntime, AgentStatistics};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::by_agent_type::ByAgentType;
use super::labelled::Labelled;
use crate::admin_state::AdminState;

/// The load of each agent type.
pub(super) fn loads(
    registry: &mut Registry,
    state: &AdminState,
    agents: &[(Arc<AgentRuntime>, AgentStatistics)],
) {
    let loads = state.actors.loads();
    let gauge = |of: fn(&AgentLoad) -> usize| {
        let loads = agents.iter().map(|(agent, _)| (agent, loads.get(&agent.agent.name)));
        let loads = loads.map(|(agent, load)| (agent, load.map(of).unwrap_or_default()));
        ByAgentType::of(loads.map(|(agent, number)| (agent, ConstGauge::new(number))))
    };
    registry.register("daca_agent_active_actors", "Active actors of the agent type", gauge(|of| of.active));
    registry.register(
        "daca_agent_queued_calls",
        "Calls that wait for an actor of the agent type",
        gauge(|of| of.queued),
    );
    registry.register("daca_agent_instances", "Live instances of the agent type", gauge(|of| of.instances));
    let requests =
        agents.iter().map(|(agent, _)| (agent, ConstGauge::new(state.requests.in_flight(&agent.agent.name))));
    registry.register(
        "daca_agent_requests_in_flight",
        "Requests at the application's port that are for the agent type and not answered yet",
        ByAgentType::of(requests),
    );
    let stored = agents.iter().filter_map(|(agent, _)| {
        let bytes = state.actors.storage_of(&agent.agent.name)?;
        Some((agent, ConstGauge::new(bytes)))
    });
    registry.register(
        "daca_agent_storage_bytes",
        "The bytes that the actors of the agent type have on disk",
        ByAgentType::of(stored),
    );
    let logged = state.actors.log_uses();
    let logged = agents.iter().map(|(agent, _)| {
        let of_type = logged.iter().find(|of| of.agent_type == agent.agent.name);
        (agent, ConstCounter::new(of_type.map_or(0, |of| of.total)))
    });
    registry.register(
        "daca_agent_log_bytes",
        "The bytes that agents of the type have logged",
        ByAgentType::of(logged),
    );
    let dropped = agents
        .iter()
        .map(|(agent, _)| (agent, ConstCounter::new(state.actors.log_lines_dropped(&agent.agent.name))));
    registry.register(
        "daca_agent_log_lines_dropped",
        "The lines about the agent type that were dropped because the rate of the log was used up",
        ByAgentType::of(dropped),
    );
}

/// What each agent type has of each pool.
pub(super) fn pools(registry: &mut Registry, state: &AdminState) {
    let pools = state.pools();
    let uses = pools.iter().flat_map(|pool| pool.uses().into_iter().map(|of| (pool.name(), of)));
    let uses = uses.collect::<Vec<_>>();
    let gauge = |of: fn(&ShareUse) -> usize| ByPool::of(&uses, |one| ConstGauge::new(of(one)));
    registry.register("daca_pool_used", "What the agent type has of the pool", gauge(|of| of.used));
    registry.register(
        "daca_pool_share",
        "The share of the agent type in the pool, by its weight",
        gauge(|of| of.share),
    );
    registry.register(
        "daca_pool_waiting",
        "Requests of the agent type that wait for the pool",
        gauge(|of| of.waiting),
    );
    registry.register(
        "daca_pool_held_back",
        "How often the agent type was held back by its share",
        ByPool::of(&uses, |of| ConstCounter::new(of.held_back)),
    );
}

/// A metric with a value for each agent type and pool.
type ByPool<M> = Labelled<M, 2>;

impl<M> ByPool<M> {
    fn of(uses: &[(&'static str, ShareUse)], metric: impl Fn(&ShareUse) -> M) -> ByPool<M> {
        let labels = |pool: &str, of: &ShareUse| {
            [("agent_type", of.agent_type.to_string()), ("pool", pool.to_owned())]
        };
        Labelled(uses.iter().map(|(pool, of)| (labels(pool, of), metric(of))).collect())
    }
}
