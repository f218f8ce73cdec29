//! `GET /metrics`: the metrics for autoscaling and for operators, in the text format of Prometheus (version 0.0.4).
//!
//! The values live where they are counted, and each request reads them. Labels have agent types, of which there are as
//! many as in the manifest, and what they share ([`shares`]).

mod by_agent_type;
mod labelled;
mod shares;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use daca_base::memory::{MemoryAccount, MemoryBudget};
use daca_model::CallError;
use daca_runtime::actor::{
    AgentRuntime, AgentStatistics, DeadLetterCounts, DurationCounts, DurationHistogram,
};
use prometheus_client::encoding::prometheus_text::{self, CONTENT_TYPE};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use self::by_agent_type::ByAgentType;
use self::labelled::Labelled;
use super::admin_state::AdminState;
use super::answer::HttpError;

pub(super) async fn metrics(State(state): State<AdminState>) -> Result<Response, HttpError> {
    // It looks at all actors, of which there may be many.
    let text = tokio::task::spawn_blocking(move || text(&state)).await;
    let text = text.map_err(|_ended| CallError::Internal)??;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn text(state: &AdminState) -> Result<String, CallError> {
    let mut registry = Registry::default();
    host(&mut registry, state);
    agents(&mut registry, state);
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).map_err(|_cannot_fail_in_memory| CallError::Internal)?;
    Ok(text)
}

/// The metrics of the whole host. The library appends `_total` to the name of a counter, and a full stop to its help.
fn host(registry: &mut Registry, state: &AdminState) {
    let (live, most) = state.actors.live_instances();
    registry.register(
        "daca_turns_in_flight",
        "Turns that run or wait for their actor",
        ConstGauge::new(state.actors.turns_in_flight()),
    );
    registry.register("daca_active_actors", "Actors that are active", ConstGauge::new(state.actors.active()));
    registry.register(
        "daca_live_instances",
        "Instances of components that are in memory",
        ConstGauge::new(live),
    );
    registry.register(
        "daca_live_instances_max",
        "The maximum number of instances in memory",
        ConstGauge::new(most),
    );
    memory(registry, state.actors.memory());
    registry.register(
        "daca_effects_pending",
        "Effects that are not sent yet",
        ConstGauge::new(state.outbox.counts().pending),
    );
    registry.register(
        "daca_misdelivered_calls",
        "Calls that the sidecar delivered to another actor; they were refused",
        ConstCounter::new(state.router.misdelivered()),
    );
    registry.register(
        "daca_dead_letter_changes_dropped",
        "Changes of the index of dead letters that were dropped because too many waited",
        ConstCounter::new(state.actors.dropped_index_changes()),
    );
    registry.register(
        "daca_log_lines_dropped",
        "Lines of the log that were dropped because standard error is too slow or closed",
        ConstCounter::new(state.log.output.dropped()),
    );
}

/// The budget of memory, and what uses it.
fn memory(registry: &mut Registry, budget: &MemoryBudget) {
    registry.register(
        "daca_memory_budget_bytes",
        "The budget of memory of the whole host",
        ConstGauge::new(budget.limit()),
    );
    registry.register(
        "daca_memory_resident_bytes",
        "The memory of the process that is resident",
        ConstGauge::new(budget.resident()),
    );
    registry.register(
        "daca_memory_bytes",
        "The memory that is reserved, by its use; the label agent_type is empty for what is the host's own",
        ByUse(budget.accounts()),
    );
    registry.register(
        "daca_memory_given_up",
        "Idle instances and states of idle actors that were given up for the budget of memory",
        ConstCounter::new(budget.evicted()),
    );
    let refused = budget.refused().into_iter().map(|(agent_type, times)| {
        let agent_type = agent_type.as_deref().unwrap_or_default().to_owned();
        ([("agent_type", agent_type)], ConstCounter::new(times))
    });
    registry.register(
        "daca_memory_refused",
        "Requests for memory that were refused, by the agent type, which is empty for the host itself",
        Labelled(refused.collect()),
    );
}

/// The metrics of each agent type.
fn agents(registry: &mut Registry, state: &AdminState) {
    let agents = state.actors.agents();
    let counter = |count: fn(&AgentStatistics) -> u64| {
        ByAgentType::of(agents.iter().map(|(agent, counted)| (agent, ConstCounter::new(count(counted)))))
    };
    registry.register("daca_turns", "Turns that ended", counter(|of| of.counted.turns));
    registry.register(
        "daca_failed_turns",
        "Turns that failed by the agent's fault",
        counter(|of| of.counted.failed_turns),
    );
    registry.register(
        "daca_faults",
        "Turns in which the guest trapped or exceeded a limit",
        counter(|of| of.counted.faults),
    );
    shares::loads(registry, state, &agents);
    shares::pools(registry, state);
    processors(registry, state, &agents);
    effects(registry, state, &agents);
    let histogram = |of: fn(&AgentRuntime) -> &DurationHistogram| {
        ByAgentType::of(agents.iter().map(|(agent, _)| (agent, ShownDurations(of(agent).read()))))
    };
    registry.register(
        "daca_turn_duration_seconds",
        "The duration of turns, with their commit",
        histogram(|agent| &agent.durations.turn),
    );
    registry.register(
        "daca_queue_wait_seconds",
        "The time that calls and wake-ups waited for their turn",
        histogram(|agent| &agent.durations.queue_wait),
    );
    registry.register(
        "daca_activation_duration_seconds",
        "The duration of the start of an instance, with migration and hook",
        histogram(|agent| &agent.durations.activation),
    );
    registry.register(
        "daca_commit_duration_seconds",
        "The duration of the backend's transactions",
        histogram(|agent| &agent.durations.commit),
    );
}

/// What each agent type has of the processors.
fn processors(registry: &mut Registry, state: &AdminState, agents: &[(Arc<AgentRuntime>, AgentStatistics)]) {
    let uses = agents.iter().map(|(agent, _)| (agent, state.actors.processor_use(&agent.agent.name)));
    let uses = uses.collect::<Vec<_>>();
    let used = uses.iter().map(|(agent, of)| (*agent, ConstCounter::new(of.used.as_secs_f64())));
    registry.register(
        "daca_processor_seconds",
        "The processor time of turns, with the work of the host for them",
        ByAgentType::of(used),
    );
    let runnable = uses.iter().map(|(agent, of)| (*agent, ConstGauge::new(of.runnable)));
    registry.register("daca_runnable_turns", "Turns that wait for a processor", ByAgentType::of(runnable));
}

/// The counts of agent types. One that is not among them has a count of nothing.
fn gauges<K: Borrow<str> + Ord, N: Copy + Default>(
    agents: &[(Arc<AgentRuntime>, AgentStatistics)],
    counts: &BTreeMap<K, N>,
) -> ByAgentType<ConstGauge<N>> {
    ByAgentType::of(agents.iter().map(|(agent, _)| {
        let count = counts.get(&*agent.agent.name).copied().unwrap_or_default();
        (agent, ConstGauge::new(count))
    }))
}

/// The effects of each agent type. Of dead letters only their changes here are counted, and the actors that have some: they
/// lie in the store, and their actors may be active elsewhere.
fn effects(registry: &mut Registry, state: &AdminState, agents: &[(Arc<AgentRuntime>, AgentStatistics)]) {
    registry.register(
        "daca_agent_effects_pending",
        "Effects of the agent type that are not sent yet",
        gauges(agents, &state.outbox.pending_by_type()),
    );
    let counter = |count: fn(DeadLetterCounts) -> u64| {
        let counts = agents.iter().map(|(agent, _)| (agent, agent.dead_letters.read()));
        ByAgentType::of(counts.map(|(agent, counts)| (agent, ConstCounter::new(count(counts)))))
    };
    registry.register(
        "daca_agent_effects_given_up",
        "Effects of the agent type that were given up and are no dead letters yet",
        gauges(agents, &state.actors.effects_given_up()),
    );
    registry.register(
        "daca_actors_with_dead_letters",
        "Actors of the agent type that have dead letters, on all hosts",
        gauges(agents, &state.actors.actors_with_dead_letters()),
    );
    registry.register("daca_dead_letters", "Effects that became dead letters", counter(|of| of.buried));
    registry.register(
        "daca_dead_letters_dropped",
        "Dead letters that were dropped because their actor had too many",
        counter(|of| of.dropped),
    );
    registry.register(
        "daca_dead_letters_retried",
        "Dead letters that became pending effects again",
        counter(|of| of.retried),
    );
    registry.register(
        "daca_dead_letters_discarded",
        "Dead letters that were discarded",
        counter(|of| of.discarded),
    );
}

/// The durations of a histogram, as the page shows them.
#[derive(Debug)]
struct ShownDurations(DurationCounts);

impl EncodeMetric for ShownDurations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let DurationCounts { buckets, sum } = &self.0;
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        ShownDurations::TYPE
    }
}

impl TypedMetric for ShownDurations {
    const TYPE: MetricType = MetricType::Histogram;
}

/// The accounts of the budget of memory.
#[derive(Debug)]
struct ByUse(Vec<MemoryAccount>);

impl EncodeMetric for ByUse {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for MemoryAccount { agent_type, kind, bytes } in &self.0 {
            let agent_type = agent_type.as_deref().unwrap_or_default();
            let labels = [("agent_type", agent_type), ("kind", kind.as_str())];
            ConstGauge::new(*bytes).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        ConstGauge::<u64>::TYPE
    }
}
