//! A metric of which each agent type has a value.

use std::fmt;
use std::sync::Arc;

use daca_runtime::actor::AgentRuntime;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A metric with a value for each agent type.
#[derive(Debug)]
pub(super) struct ByAgentType<M>(Vec<([(&'static str, String); 1], M)>);

impl<M> ByAgentType<M> {
    pub(super) fn of<'a>(values: impl Iterator<Item = (&'a Arc<AgentRuntime>, M)>) -> ByAgentType<M> {
        ByAgentType(
            values.map(|(agent, metric)| ([("agent_type", agent.agent.name.to_string())], metric)).collect(),
        )
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for ByAgentType<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in &self.0 {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
