//! A metric of which each agent type has a value.

use std::sync::Arc;

use daca_runtime::actor::AgentRuntime;

use super::labelled::Labelled;

/// A metric with a value for each agent type.
pub(super) type ByAgentType<M> = Labelled<M, 1>;

impl<M> ByAgentType<M> {
    pub(super) fn of<'a>(values: impl Iterator<Item = (&'a Arc<AgentRuntime>, M)>) -> ByAgentType<M> {
        Labelled(
            values.map(|(agent, metric)| ([("agent_type", agent.agent.name.to_string())], metric)).collect(),
        )
    }
}
