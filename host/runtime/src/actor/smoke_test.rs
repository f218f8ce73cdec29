//! The smoke test: before a version serves, it activates a scratch actor with empty state and a null outbox. Scripts are
//! evaluated in the same way, on the threads of guests and within their type's shares.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::Actors;
use super::turn::MAX_EVICTIONS;
use crate::component::{ComponentVersion, Instance, Outcome, description_scope};
use crate::contract::daca::agent::types::Failure;
use crate::imports::{NullBackend, TurnScope, scratch_scope};
use daca_base::telemetry::{printable, shortened};
use daca_manifest::AgentType;
use daca_model::{Fault, TurnKind};

/// The maximum time of a smoke test, if the turn time of the type is longer.
const MAX_TIME: Duration = Duration::from_secs(30);
/// The reason of a smoke test that has no end.
const DEFECT: &str = "the host ends, or has a defect";
/// The id of the scratch actor.
const ACTOR_ID: &str = "daca-smoke-test";

/// Why a version failed its smoke test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmokeTestFailure {
    /// By its own fault, with this text.
    #[error("{0}")]
    Failed(String),
    /// The host has no capacity for another instance now.
    #[error("the host has no capacity for an instance now")]
    NoRoom,
}

impl Actors {
    /// Activates a scratch actor on a version. Calls that a smoke test cannot serve (to another actor or a binding) do
    /// not count against it.
    pub async fn try_version(
        &self,
        agent: &Arc<AgentType>,
        version: &Arc<ComponentVersion>,
    ) -> Result<(), SmokeTestFailure> {
        let (outcome, saw_transient_error) = self.run_alone(agent, version, TurnKind::Activate).await?;
        let reason = match outcome {
            Outcome::Reply(_) => return Ok(()),
            Outcome::Failure(failure) => words(failure),
            Outcome::Fault(fault) => with_last_words(&fault),
        };
        if saw_transient_error {
            tracing::warn!(
                agent_type = %agent.name,
                "version {} was not smoke-tested, because its activation calls external systems: {reason}",
                version.short_digest()
            );
            return Ok(());
        }
        Err(SmokeTestFailure::Failed(reason))
    }

    /// Asks a version with a migration for the label of its schema.
    pub async fn label_of(
        &self,
        agent: &Arc<AgentType>,
        version: &Arc<ComponentVersion>,
    ) -> Result<Option<Arc<str>>, SmokeTestFailure> {
        if !version.has_migration() {
            return Ok(None);
        }
        match self.run_alone(agent, version, TurnKind::Label).await?.0 {
            Outcome::Reply(label) => Ok(Some(String::from_utf8_lossy(&label).into())),
            Outcome::Failure(failure) => Err(SmokeTestFailure::Failed(words(failure))),
            Outcome::Fault(fault) => Err(SmokeTestFailure::Failed(with_last_words(&fault))),
        }
    }

    /// Evaluates a script, on a version that can do nothing else, to learn what it has.
    pub async fn evaluate(
        &self,
        agent: &Arc<AgentType>,
        version: &Arc<ComponentVersion>,
    ) -> Result<Outcome, SmokeTestFailure> {
        Ok(self.run_alone(agent, version, TurnKind::Describe).await?.0)
    }

    /// Runs a turn that belongs to no actor. The flag says whether it used something that was unavailable.
    async fn run_alone(
        &self,
        agent: &Arc<AgentType>,
        version: &Arc<ComponentVersion>,
        kind: TurnKind,
    ) -> Result<(Outcome, bool), SmokeTestFailure> {
        let services = &self.services;
        let deadline = Instant::now() + agent.limits.turn_time.min(MAX_TIME);
        let mut evictions = 0;
        loop {
            let end = self.run_once(agent, version, kind.clone(), deadline).await?;
            if matches!(end.0, Outcome::Fault(Fault::NoMemory)) {
                return Err(SmokeTestFailure::NoRoom);
            }
            if !matches!(end.0, Outcome::Fault(Fault::NoRoom(_))) {
                return Ok(end);
            }
            evictions += 1;
            if evictions > MAX_EVICTIONS || !services.live.evict_for(&agent.name) {
                return Err(SmokeTestFailure::NoRoom);
            }
        }
    }

    async fn run_once(
        &self,
        agent: &Arc<AgentType>,
        version: &Arc<ComponentVersion>,
        kind: TurnKind,
        deadline: Instant,
    ) -> Result<(Outcome, bool), SmokeTestFailure> {
        let services = &self.services;
        let place = services.live.place(&agent.name, version);
        let place = tokio::time::timeout_at(deadline, place).await;
        let place = place.map_err(|_elapsed| SmokeTestFailure::NoRoom)?;
        let mut instance = Instance::new(&services.engine, version, place);
        let scope = match kind {
            TurnKind::Describe => description_scope(agent, Some(services.log_rate.clone())),
            _ => self.scratch_scope(agent, version),
        };
        let span = tracing::info_span!(
            "smoke-test",
            agent_type = %agent.name,
            actor_id = ACTOR_ID,
            component = version.short_digest()
        );
        let run = async move { instance.run(Box::new(scope), &kind, deadline).await };
        let ran = services.guests.run(&agent.name, run.instrument(span)).await;
        let (outcome, products) = ran.map_err(|_has_no_end| SmokeTestFailure::Failed(DEFECT.into()))?;
        Ok((outcome, products.saw_transient_error))
    }

    /// The turn of the scratch actor.
    fn scratch_scope(&self, agent: &Arc<AgentType>, version: &ComponentVersion) -> TurnScope {
        let nowhere = NullBackend::with_secrets(self.services.backend.clone());
        let log_rate = Some(self.services.log_rate.clone());
        scratch_scope(agent, [ACTOR_ID, "smoke-test"], version.wakeup_handlers(), nowhere, log_rate)
    }
}

/// A fault, with what the agent's code said before. Both are for whoever deploys it.
fn with_last_words(fault: &Fault) -> String {
    match fault.last_words() {
        Some(words) => format!("{fault}. It said: {}", printable(words)),
        None => fault.to_string(),
    }
}

fn words(failure: Failure) -> String {
    let (Failure::Invalid(text) | Failure::NotFound(text) | Failure::Failed(text)) = failure;
    format!("it refused with {:?}", shortened(&text))
}
