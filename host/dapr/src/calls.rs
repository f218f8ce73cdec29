//! Calls of actors: direct calls if that is safe, otherwise through the sidecar, with retries while hosts come and go.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use daca_manifest::{Deduplicate, Manifest};
use daca_model::backend::{ActorCall, Error, Inbound};
use daca_model::{CallContext, CallError, CallIdentity};
use dapr::dapr::proto::runtime::v1 as proto;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::connection::Client;
use super::request::{traced, within};
use super::watch::Known;
use super::{status, wire};

/// The timeout of an actor's call, with the wait in its queue and the sidecar's own retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// The time to wait for calls that the sidecar still has after it has given up this host's actors.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The waits, in milliseconds, before a call is retried that a change of hosts interrupted; the last one repeats until
/// [`REPEATING`] is over. A sidecar may take a second to notice that its host is gone.
const PAUSES: [u64; 5] = [100, 400, 1_000, 1_500, 2_000];
/// The time for which calls are retried. That includes those with an unknown outcome, so it is less than
/// [`super::request::STORE_TIMEOUT`]: a write that the store has not confirmed by then may still happen, and a host
/// that reads the mark at once would not see it.
const REPEATING: Duration = Duration::from_secs(10);

/// The caller of actors.
pub(super) struct Calls {
    client: Client,
    known: Known,
    /// The types of the manifest. Only hosts of this app have their actors.
    types: HashSet<Arc<str>>,
    /// The types whose actors have a dedup log in their state.
    deduplicates: HashSet<Arc<str>>,
    /// The reentrant types, with their maximum nesting.
    reentrant: HashMap<Arc<str>, u32>,
    /// `true` if calls of actors that are active here are direct.
    direct_calls: bool,
    /// The host, once it serves.
    inbound: OnceLock<Arc<dyn Inbound>>,
    /// Cancelled when the sidecar has sent its calls elsewhere: whoever still waits for it then waits in vain.
    cut_calls: CancellationToken,
}

impl Calls {
    pub(super) fn new(manifest: &Manifest, client: Client, known: Known) -> Calls {
        let agents = || manifest.agents.values();
        let deduplicates = agents().filter(|agent| agent.deduplicate == Deduplicate::State);
        let reentrant =
            agents().filter_map(|agent| Some((agent.name.clone(), agent.reentrancy?.max_stack_depth)));
        Calls {
            client,
            known,
            types: agents().map(|agent| agent.name.clone()).collect(),
            deduplicates: deduplicates.map(|agent| agent.name.clone()).collect(),
            reentrant: reentrant.collect(),
            direct_calls: manifest.dapr.direct_calls,
            inbound: OnceLock::new(),
            cut_calls: CancellationToken::new(),
        }
    }

    /// Called when the host starts to serve.
    pub(super) fn serve(&self, inbound: Arc<dyn Inbound>) {
        let _it_is_called_once = self.inbound.set(inbound);
    }

    /// The sidecar has given up this host's actors: its pending answers get a moment more.
    pub(super) fn cut_off_soon(&self) {
        let cut_calls = self.cut_calls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_ANSWERS).await;
            cut_calls.cancel();
        });
    }

    /// Calls a method of an actor on any host.
    pub(super) async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        // Without reentrancy the sidecar would let the call wait for its own caller until both time out.
        context.check(&call.actor, self.reentrant.get(&call.actor.agent_type).copied())?;
        if !self.known.answers() {
            let reason = format!("{} could not be called: the Dapr sidecar does not answer", call.actor);
            return Err(CallError::Backend(Error::NotDone(reason)));
        }
        let deadline = Instant::now() + REPEATING;
        // One mark for all attempts: the actor's host recognises by it the calls that it has handled.
        let mark: Arc<str> = wire::new_mark().into();
        let mut context = CallContext { mark: Some(mark.clone()), ..context };
        // A nested turn leaves no mark: the waiting turn would overwrite it.
        let is_nested = context.waiting.contains(&call.actor);
        let deduplicates = self.deduplicates.contains(&call.actor.agent_type) && !is_nested;
        if deduplicates && context.identity.is_none() {
            context.identity = Some(CallIdentity::Attempt(mark.clone()));
        }
        let is_of_a_host = self.types.contains(&call.actor.agent_type);
        let is_handled_once = context.identity.is_some() && is_of_a_host;
        let mut answer = match self.call_directly(&call, &context).await {
            Some(result) => Ok(result),
            None => self.try_call(&call, &context, &mark).await,
        };
        for number in 0.. {
            let is_connected = self.known.answers() && !self.cut_calls.is_cancelled();
            let is_time = Instant::now() < deadline;
            let is_repeatable = is_handled_once && is_connected && is_time;
            // A call that was certainly not handled gets its attempts even if it has waited long.
            let pause = PAUSES.get(number).or(PAUSES.last().filter(|_| is_time && is_connected));
            let Some(&pause) = pause else { break };
            if !status::may_be_repeated(&call.actor, &answer, is_of_a_host, is_repeatable) {
                break;
            }
            tracing::debug!("retrying the call of {}", call.actor);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            answer = self.try_call(&call, &context, &mark).await;
        }
        answer.map_err(|status| status::call_error(&call.actor, &status, is_of_a_host))?
    }

    /// Makes a direct call, if the manifest allows it and the sidecar is known to place the actor here. `None` leaves
    /// the call to the sidecar; nothing was done then.
    async fn call_directly(
        &self,
        call: &ActorCall,
        context: &CallContext,
    ) -> Option<Result<Bytes, CallError>> {
        let inbound = self.inbound.get().filter(|_| self.direct_calls)?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, inbound.call_active(call.clone(), context.clone()));
        let Ok(answer) = answer.await else {
            let reason = format!("{} has not answered within {CALL_TIMEOUT:?}", call.actor);
            return Some(Err(CallError::Backend(Error::Unavailable(reason))));
        };
        answer.filter(|result| !result.as_ref().is_err_and(CallError::is_not_done))
    }

    async fn try_call(
        &self,
        call: &ActorCall,
        context: &CallContext,
        mark: &str,
    ) -> Result<Result<Bytes, CallError>, Status> {
        let headers = wire::headers(&call.actor, context, mark);
        let request = proto::InvokeActorRequest {
            actor_type: call.actor.agent_type.to_string(),
            actor_id: wire::segment(&call.actor.id),
            method: wire::segment(&call.method),
            data: call.payload.to_vec(),
            metadata: headers,
        };
        let mut client = self.client.clone();
        let request = traced(request, context.traceparent.as_deref());
        let answer = tokio::select! {
            biased;
            answer = within(CALL_TIMEOUT, client.invoke_actor(request)) => answer?,
            () = self.known.silence() => return Err(Status::unavailable("the Dapr sidecar does not answer")),
            () = self.cut_calls.cancelled() => return Err(Status::unavailable("the host is shutting down")),
        };
        let is_of_a_host = self.types.contains(&call.actor.agent_type);
        Ok(wire::reply(mark, answer.into_inner().data, is_of_a_host))
    }
}
