//! The way of a call behind a sidecar: direct if that is safe, otherwise through the sidecar, with retries while hosts
//! come and go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daca_dapr::{InvokeAttempt, Invoker};
use daca_manifest::{Deduplicate, Manifest};
use daca_model::backend::{ActorCall, Error, HOST_KEYS};
use daca_model::{CallContext, CallError, CallIdentity};
use daca_runtime::actor::Actors;
use tokio_util::sync::CancellationToken;

use super::retry::{self, NoReply, REPEATING};
use super::wire;

/// The timeout of an actor's call, with the wait in its queue and the sidecar's own retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// The time to wait for calls that the sidecar still has after it has given up this host's actors.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Calls actors of all hosts of the app, and of other apps.
pub(super) struct ThroughSidecar {
    invoker: Invoker,
    /// The types of the manifest. Only hosts of this app have their actors.
    types: HashSet<Arc<str>>,
    /// The types whose actors have a dedup log in their state.
    deduplicates: HashSet<Arc<str>>,
    /// The reentrant types, with their maximum nesting.
    reentrant: HashMap<Arc<str>, u32>,
    /// `true` if calls of actors that are active here are direct.
    direct_calls: bool,
    /// Cancelled when the sidecar has sent its calls elsewhere: waiting for it any longer is pointless.
    cut_calls: CancellationToken,
}

impl ThroughSidecar {
    pub(super) fn new(manifest: &Manifest, invoker: Invoker) -> ThroughSidecar {
        let agents = || manifest.agents.values();
        let deduplicates = agents().filter(|agent| agent.calls.deduplicate == Deduplicate::State);
        let reentrant =
            agents().filter_map(|agent| Some((agent.name.clone(), agent.calls.reentrancy?.max_stack_depth)));
        ThroughSidecar {
            invoker,
            types: agents().map(|agent| agent.name.clone()).collect(),
            deduplicates: deduplicates.map(|agent| agent.name.clone()).collect(),
            reentrant: reentrant.collect(),
            direct_calls: manifest.dapr.direct_calls,
            cut_calls: CancellationToken::new(),
        }
    }

    /// The sidecar has given up this host's actors: calls that still wait for it are cancelled in a moment.
    pub(super) fn cancel_waiting_calls(&self) {
        let cut_calls = self.cut_calls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_ANSWERS).await;
            cut_calls.cancel();
        });
    }

    /// Calls a method of an actor on any host. `here` has the actors of this one, once it serves.
    pub(super) async fn call(
        &self,
        here: Option<&Actors>,
        call: ActorCall,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        // Without reentrancy the sidecar would let the call wait for its own caller until both time out.
        context.check(&call.actor, self.reentrant.get(&call.actor.agent_type).copied())?;
        if !self.invoker.answers() {
            let reason = format!("{} could not be called: the Dapr sidecar does not answer", call.actor);
            return Err(CallError::Backend(Error::NotApplied(reason)));
        }
        let deadline = Instant::now() + REPEATING;
        // One mark for all attempts: the actor's host recognises by it the calls that it has handled.
        let mark: Arc<str> = wire::new_mark().into();
        let context = self.named(&call, context, &mark);
        let is_handled_once = context.identity.is_some() && self.is_of_a_host(&call);
        let mut answer = match self.call_directly(here, &call, &context).await {
            Some(result) => result.map_err(NoReply::Actor),
            None => self.attempt(&call, &context, &mark).await,
        };
        for number in 0.. {
            let is_connected = self.invoker.answers() && !self.cut_calls.is_cancelled();
            let may_go_on = is_connected && Instant::now() < deadline;
            let Some(pause) = retry::pause(number, may_go_on) else { break };
            if !retry::may_be_repeated(&answer, is_handled_once && may_go_on) {
                break;
            }
            tracing::debug!("retrying the call of {}", call.actor);
            tokio::time::sleep(pause).await;
            answer = self.attempt(&call, &context, &mark).await;
        }
        answer.map_err(NoReply::into_error)
    }

    /// The context of the call with its mark, and with an identity if the actor keeps a dedup log.
    fn named(&self, call: &ActorCall, context: CallContext, mark: &Arc<str>) -> CallContext {
        let mut context = CallContext { mark: Some(mark.clone()), ..context };
        // A nested turn leaves no mark: the waiting turn would overwrite it.
        let is_nested = context.waiting.contains(&call.actor);
        let deduplicates = self.deduplicates.contains(&call.actor.agent_type) && !is_nested;
        if deduplicates && context.identity.is_none() {
            context.identity = Some(CallIdentity::Attempt(mark.clone()));
        }
        context
    }

    /// Returns `true` if hosts of this app have the actor.
    fn is_of_a_host(&self, call: &ActorCall) -> bool {
        self.types.contains(&call.actor.agent_type)
    }

    /// Makes a direct call, if the manifest allows it and the sidecar is known to place the actor here. `None` leaves
    /// the call to the sidecar; nothing was done then.
    async fn call_directly(
        &self,
        here: Option<&Actors>,
        call: &ActorCall,
        context: &CallContext,
    ) -> Option<Result<Bytes, CallError>> {
        // The methods of the hosts have another entrance than those of actors.
        let here = here.filter(|_| self.direct_calls && !call.method.starts_with(HOST_KEYS))?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, here.call_active(call.clone(), context.clone()));
        let Ok(answer) = answer.await else {
            let reason = format!("{} has not answered within {CALL_TIMEOUT:?}", call.actor);
            return Some(Err(CallError::Backend(Error::Unavailable(reason))));
        };
        answer.filter(|result| !result.as_ref().is_err_and(CallError::is_not_applied))
    }

    /// Makes one attempt through the sidecar.
    async fn attempt(&self, call: &ActorCall, context: &CallContext, mark: &str) -> Result<Bytes, NoReply> {
        let is_of_a_host = self.is_of_a_host(call);
        let attempt = InvokeAttempt {
            call,
            headers: wire::headers(&call.actor, context, mark),
            traceparent: context.traceparent.as_deref(),
            is_of_a_host,
        };
        let answer = self.invoker.invoke(attempt, CALL_TIMEOUT, &self.cut_calls).await;
        let body = answer.map_err(NoReply::Sidecar)?;
        wire::reply(mark, body, is_of_a_host).map_err(NoReply::Actor)
    }
}
