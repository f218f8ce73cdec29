//! The meaning of a turn's end for its caller, its version and the log.

use daca_base::telemetry::{printable, shortened};
use daca_model::{CallError, Fault};
use tokio::time::Instant;

use super::{Answered, Turn};
use crate::actor::work::Work;
use crate::component::{Outcome, TurnEnd};
use crate::contract::daca::agent::types::Failure;
use crate::imports::LINE_BYTES;

impl Turn<'_> {
    /// The error for the caller of a turn without a reply. A failure because something was unavailable may succeed
    /// later, and does not count against the agent.
    pub(super) fn failure(&self, outcome: Outcome, saw_transient_error: bool) -> CallError {
        match outcome {
            Outcome::Failure(Failure::Failed(text)) if saw_transient_error => {
                CallError::NeededUnavailable(shortened(&text).to_owned())
            }
            Outcome::Failure(failure) => into_call_error(failure),
            Outcome::Fault(fault @ Fault::TurnTime(_)) if saw_transient_error => {
                CallError::NeededUnavailable(fault.to_string())
            }
            Outcome::Fault(fault) => CallError::Fault { actor: self.activation.address.clone(), fault },
            Outcome::Reply(_) => CallError::Internal,
        }
    }

    /// Counts the turn, and logs its failure.
    pub(super) fn note(&self, work: &Work, started: Instant, result: &Result<Answered, CallError>) {
        let took = started.elapsed();
        if let Some(end) = turn_end(result) {
            self.loaded.counters.count(end);
            self.activation.agent.counters.count(end);
            self.activation.agent.durations.turn.observe(took);
        }
        let milliseconds = took.as_millis();
        let Err(error) = result else {
            tracing::debug!("{} took {milliseconds} ms", work.name());
            return;
        };
        let mut text = error.to_string();
        if let Some(words) = error.last_words() {
            text.push_str(" It said: ");
            text.push_str(words);
        }
        let text = printable(&text);
        // The agent can fail as often as it likes, with its own words. That it fails is known all the same.
        let agent_type = &self.activation.address.agent_type;
        if self.services.log_rate.take_or_except(agent_type, LINE_BYTES + text.len()).is_err() {
            return;
        }
        let name = work.name();
        match error {
            CallError::Invalid(_)
            | CallError::NotFound(_)
            | CallError::KeyReused { .. }
            | CallError::EventIdReused(_)
            | CallError::ReplyForgotten { .. }
            | CallError::DeadLetterUnknown { .. }
            | CallError::ReplyLost(_) => {
                tracing::info!(code = error.code().as_str(), "{name} refused: {text}")
            }
            _ => {
                tracing::error!(code = error.code().as_str(), "{name} failed after {milliseconds} ms: {text}")
            }
        }
    }
}

/// The result of a turn for its version's statistics. Failures that are not the agent's fault do not count, nor do
/// turns in which the version did not run.
fn turn_end(result: &Result<Answered, CallError>) -> Option<TurnEnd> {
    match result {
        Ok(answered) if answered.is_without_guest => None,
        Err(
            CallError::KeyReused { .. }
            | CallError::EventIdReused(_)
            | CallError::ReplyForgotten { .. }
            | CallError::ReplyLost(_)
            | CallError::DeadLetterUnknown { .. },
        ) => None,
        Err(CallError::Fault { fault: Fault::NoRoom(_) | Fault::NoMemory, .. }) => Some(TurnEnd::Well),
        Err(CallError::Fault { .. }) => Some(TurnEnd::Fault),
        Err(CallError::Failed(_) | CallError::ReplyTooLarge { .. }) => Some(TurnEnd::Failed),
        _ => Some(TurnEnd::Well),
    }
}

/// The error for the caller of a guest's failure.
fn into_call_error(failure: Failure) -> CallError {
    let shorten = |text: String| shortened(&text).to_owned();
    match failure {
        Failure::Invalid(text) => CallError::Invalid(shorten(text)),
        Failure::NotFound(text) => CallError::NotFound(shorten(text)),
        Failure::Failed(text) => CallError::Failed(shorten(text)),
    }
}
