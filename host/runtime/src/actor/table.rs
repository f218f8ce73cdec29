//! The activation table: from an address to the activation that takes the call, within the host's limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::activation::Offer;
use super::agent::AgentRuntime;
use super::recent_calls::{Answer, CallKey, Delivery};
use super::record::Activation;
use super::services::{ActorsOptions, EffectServices, HostServices, Services};
use super::work::{Job, Work, wakeup_noun};
use super::{ActorAddress, CallContext, CallError, effect_log};
use daca_base::shares::{SharePermit, SharedPool, Weights};
use daca_model::backend::{self, ActorCall, FiredWakeup, HOST_KEYS, Readiness};
use daca_model::backup::StateSnapshot;
use daca_model::{HostPhase, Topic, TurnKind};

/// The interval between searches for activations that were idle for too long.
const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// Idle actors of each type that are deactivated with each search, if actors take much of the host's memory.
const MAX_CROWDED_OUT: usize = 1_000;
/// The time for which a call waits for a place among the turns in flight that is within its type's share.
const PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a drain checks whether turns still run.
const DRAIN_POLL: Duration = Duration::from_millis(5);
/// The characters of a refused method that an error quotes.
const QUOTED_NAME: usize = 64;
/// The number of activations that end at the same time.
const CONCURRENT_DEACTIVATIONS: usize = 64;

/// A cheap handle to all actors of the host.
#[derive(Clone)]
pub struct Actors {
    pub(super) services: Arc<Services>,
    inner: Arc<Inner>,
}

struct Inner {
    agents: BTreeMap<Arc<str>, Arc<AgentRuntime>>,
    options: ActorsOptions,
    in_flight: SharedPool,
}

/// A refused call, and the recipient of the refusal.
struct RefusedCall {
    answer: Answer,
    error: CallError,
}

impl Actors {
    /// Starts without active actors. [`Actors::run_idle_sweep`] must be running for idle ones to be deactivated.
    pub fn new(host: HostServices, agents: Vec<AgentRuntime>, options: ActorsOptions) -> Actors {
        let agents = agents.into_iter().map(|agent| (agent.agent.name.clone(), Arc::new(agent)));
        let agents = agents.collect::<BTreeMap<_, _>>();
        let weights = agents.values().map(|runtime| (runtime.agent.name.clone(), runtime.agent.share.weight));
        let weights = weights.collect::<Weights>();
        let services = Arc::new(Services::new(host, &weights, &options));
        services.share_memory();
        let in_flight = SharedPool::new("turns in flight", options.max_turns_in_flight, &weights);
        services.effects.deliveries.set_turn_pool(&in_flight);
        let inner = Inner { agents, options, in_flight };
        Actors { services, inner: Arc::new(inner) }
    }

    /// Runs a method of an actor of this host and returns its reply. For callers that know that this host owns it: the
    /// backend, and the router (`daca-routing`) of a single host.
    ///
    /// Dropping the future does not stop a turn that has begun: it ends, and its result is committed.
    pub async fn call_here(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        let ActorCall { actor, method, payload } = &call;
        if method.starts_with(HOST_KEYS) {
            return Err(CallError::MethodReserved(method.chars().take(QUOTED_NAME).collect()));
        }
        let key = match (&context.mark, &context.delivered_in) {
            (Some(mark), _) => Some(CallKey::of_mark(actor, mark)),
            (None, Some(traceparent)) => Some(CallKey::of_trace(actor, traceparent, method, payload)),
            (None, None) => None,
        };
        let kind = TurnKind::Method { name: call.method, payload: call.payload };
        self.deliver(&call.actor, key, Work::Call(kind), context).await
    }

    /// Runs a method of an actor that the backend is known to place here, without asking it. `None` if that is not
    /// known. An error for which [`CallError::is_not_applied`] holds leaves the call to the backend.
    pub async fn call_active(
        &self,
        call: ActorCall,
        context: CallContext,
    ) -> Option<Result<Bytes, CallError>> {
        let activation = self.services.active.get(&call.actor);
        activation.filter(|activation| activation.lease.is_held(&*self.services.backend))?;
        Some(self.call_here(call, CallContext { is_direct: true, ..context }).await)
    }

    /// Runs the turn of a due reminder or timer.
    pub async fn wake(
        &self,
        actor: &ActorAddress,
        fired: FiredWakeup,
        data: Bytes,
        context: CallContext,
    ) -> Result<(), CallError> {
        if fired.key.name.starts_with(HOST_KEYS) && !effect_log::is_reminder(&fired) {
            // No agent has such a name. It is refused as by a host that is busy, so it fires again.
            tracing::debug!(%actor, "{:?} of a newer host fired", fired.key.name);
            return Err(CallError::WakeupOfNewerHost(fired.key.name));
        }
        let key = CallKey::of_firing(actor, wakeup_noun(fired.key.kind), &fired.key.name, &data);
        let kind = TurnKind::Wakeup { kind: fired.key.kind, name: fired.key.name.clone(), data };
        let work = Work::Wake(kind, fired);
        // A backend that moves actors repeats a firing that it has interrupted. One of a single host does not.
        let key = context.is_woken.then_some(key);
        let context = CallContext { is_after_wakeup: true, ..context };
        self.deliver(actor, key, work, context).await.map(drop)
    }

    /// Registers a delivery: the first one of a call runs its turn, and all others get its answer.
    pub(super) async fn deliver(
        &self,
        actor: &ActorAddress,
        key: Option<CallKey>,
        work: Work,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        let (answer, reply) = loop {
            match key.clone().map(|key| self.services.recent_calls.deliver(key)) {
                None | Some(Delivery::Separate) => break Answer::channel(),
                Some(Delivery::First(answer, reply)) => break (answer, reply),
                Some(Delivery::Joined(reply)) => {
                    tracing::debug!(%actor, "a waiting or running call was delivered again");
                    // Without an answer, the earlier delivery was cut off before its turn was in the queue.
                    if let Ok(result) = reply.await {
                        return result;
                    }
                }
                Some(Delivery::Answered(result)) => {
                    tracing::debug!(%actor, "an answered call was delivered again");
                    return result;
                }
            }
        };
        if let Err(refused) = self.submit(actor, work, context, answer).await {
            let RefusedCall { answer, error } = *refused;
            answer.send(Err(error));
        }
        reply.await.unwrap_or(Err(CallError::Internal))
    }

    /// Puts a turn into its actor's queue. A refused one is returned with its answer.
    async fn submit(
        &self,
        actor: &ActorAddress,
        work: Work,
        mut context: CallContext,
        answer: Answer,
    ) -> Result<(), Box<RefusedCall>> {
        let begins = context.is_from_outside();
        let (agent, in_flight) = match self.admit(actor, begins, &mut context).await {
            Ok(admitted) => admitted,
            Err(error) => return Err(Box::new(RefusedCall { answer, error })),
        };
        if begins {
            self.services.effects.deliveries.slow_down(&actor.agent_type).await;
        }
        let arrived = Instant::now();
        let payload = if begins { 0 } else { work.payload_bytes() };
        let reserved = match self.services.reserve_payload(&actor.agent_type, payload) {
            Ok(reserved) => reserved,
            Err(error) => return Err(Box::new(RefusedCall { answer, error })),
        };
        let in_flight = Some(in_flight);
        self.offer(actor, agent, Job { work, context, answer, arrived, in_flight, _reserved: reserved })
    }

    /// Checks a call, and acquires its permit among the host's turns in flight.
    async fn admit(
        &self,
        actor: &ActorAddress,
        begins: bool,
        context: &mut CallContext,
    ) -> Result<(&Arc<AgentRuntime>, SharePermit), CallError> {
        let agent = self.check(actor, begins, context)?;
        Ok((agent, self.place(&actor.agent_type).await?))
    }

    fn check(
        &self,
        actor: &ActorAddress,
        begins: bool,
        context: &mut CallContext,
    ) -> Result<&Arc<AgentRuntime>, CallError> {
        let Inner { agents, .. } = &*self.inner;
        let Services { effects: EffectServices { deliveries, .. }, lifecycle, .. } = &*self.services;
        // Turns that are already running must be able to end: only new ones are refused.
        let refused_from = if begins { HostPhase::Draining } else { HostPhase::Stopped };
        if lifecycle.has_reached(refused_from) {
            return Err(CallError::ShuttingDown);
        }
        let Some(agent) = agents.get(&actor.agent_type) else {
            return Err(CallError::UnknownAgentType(actor.agent_type.to_string()));
        };
        daca_model::check_actor_id(&actor.id).map_err(|reason| CallError::invalid_id(&actor.id, reason))?;
        let reentrancy = agent.agent.calls.reentrancy;
        context.check(actor, reentrancy.map(|allowed| allowed.max_stack_depth))?;
        if reentrancy.is_some() && context.reentrancy_id.is_none() {
            context.reentrancy_id = Some(daca_model::new_id().into());
        }
        // Deliveries that shorten a backlog are admitted, unless their own effects have doubled it.
        if let Err(held_back) = deliveries.check(&actor.agent_type, if begins { 1 } else { 2 }) {
            return Err(match held_back.is_beyond {
                true => CallError::ShareExceeded(held_back),
                false => CallError::EffectsBacklog(deliveries.pending()),
            });
        }
        Ok(agent)
    }

    /// The permit of a call among the host's turns in flight. A type within its share waits for a moment: others have
    /// more than theirs, and the next place is its own.
    async fn place(&self, agent_type: &str) -> Result<SharePermit, CallError> {
        let Inner { options, in_flight, .. } = &*self.inner;
        let permit = in_flight.acquire_soon(agent_type, 1, PLACE_TIMEOUT).await;
        permit.map_err(|held_back| match held_back.is_beyond {
            true => CallError::ShareExceeded(held_back),
            false => CallError::HostBusy(options.max_turns_in_flight),
        })
    }

    fn offer(
        &self,
        actor: &ActorAddress,
        agent: &Arc<AgentRuntime>,
        mut job: Job,
    ) -> Result<(), Box<RefusedCall>> {
        loop {
            let (activation, is_one_too_many) =
                self.services.active.activation(actor, agent, self.services.engine.memory());
            if is_one_too_many {
                self.deactivate_oldest(agent);
            }
            match activation.offer(&self.services, job) {
                Offer::Taken => return Ok(()),
                Offer::Full(job, queued) => {
                    let error = CallError::QueueFull { actor: actor.clone(), queued };
                    return Err(Box::new(RefusedCall { answer: job.answer, error }));
                }
                Offer::Closed(again) => {
                    self.services.active.forget(&activation);
                    job = *again;
                }
            }
        }
    }

    /// Deactivates the actor that was idle longest, of the type with the most actors for its weight that has idle ones.
    fn deactivate_oldest(&self, agent: &AgentRuntime) {
        for giver in self.services.active.pool().givers(&agent.agent.name) {
            let Some(idle) = self.services.active.idle_of_type(&giver) else { continue };
            while let Some(oldest) = idle.pop_oldest() {
                if oldest.deactivate_if_idle(&self.services, true).is_some() {
                    return;
                }
            }
        }
    }

    /// Deactivates actors that were idle for longer than their type's idle time-out. Runs until it is dropped. Each
    /// type is handled separately, so slow hooks of one do not delay another. This comes before the backend's own
    /// timeout, which would discard the hook's writes.
    pub async fn run_idle_sweep(&self) {
        let sweeps = self.inner.agents.values().map(|agent| self.sweep(agent));
        futures::future::join_all(sweeps).await;
    }

    async fn sweep(&self, agent: &AgentRuntime) {
        let Some(idle) = self.services.active.idle_of(agent) else { return };
        let timeout = agent.agent.idle_timeout;
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        // The hooks of one sweep may take longer than that.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.services.is_crowded(&agent.agent.name) {
                self.deactivate(std::iter::from_fn(|| idle.pop_oldest()).take(MAX_CROWDED_OUT), true).await;
            }
            let now = Instant::now();
            let expired = std::iter::from_fn(|| idle.pop_idle_for(timeout, now));
            self.deactivate(expired, true).await;
        }
    }

    async fn deactivate(&self, activations: impl Iterator<Item = Arc<Activation>>, ends_timers: bool) {
        let deactivations = futures::stream::iter(activations).map(|activation| async move {
            if let Some(done) = activation.deactivate_if_idle(&self.services, ends_timers) {
                // Its errors are logged.
                done.await.ok();
            }
        });
        deactivations.buffer_unordered(CONCURRENT_DEACTIVATIONS).for_each(|()| async {}).await;
    }

    /// Ends the activation of an actor that the backend has given up. Returns at once. The agent's hook runs after the
    /// turn that is under way, and nothing of either is committed. Does nothing if the actor is not active.
    pub fn give_up_actor(&self, actor: &ActorAddress) {
        let activation = self.services.active.get(actor);
        if let Some(activation) = activation {
            activation.give_up(&self.services);
        }
    }

    /// Ends every activation, as far as `deadline` allows. Called at shutdown, when no more calls arrive. Returns the
    /// number of activations that were left.
    pub async fn deactivate_all(&self, deadline: Instant) -> usize {
        let active = self.services.active.all().collect::<Vec<_>>();
        let all = self.deactivate(active.into_iter(), false);
        // Those that are left are counted below.
        tokio::time::timeout_at(deadline, all).await.ok();
        self.services.active.len()
    }

    /// The agent types, by name.
    pub(super) fn runtimes(&self) -> &BTreeMap<Arc<str>, Arc<AgentRuntime>> {
        &self.inner.agents
    }

    /// The turns in flight.
    pub(super) fn turns(&self) -> &SharedPool {
        &self.inner.in_flight
    }

    /// Waits until no turn waits or runs, or until `deadline`. Returns the number of those that still do.
    pub async fn drain(&self, deadline: Instant) -> usize {
        // Not by acquiring all permits: that would refuse the calls that running turns make to other actors.
        while self.turns_in_flight() > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        self.turns_in_flight()
    }

    /// Calls that wait or run.
    pub fn turns_in_flight(&self) -> usize {
        self.inner.in_flight.used()
    }

    /// Whether calls can be served, as far as the backend knows.
    pub fn readiness(&self) -> Readiness {
        self.services.backend.readiness()
    }

    /// The state of all actors at this instant, for a backup. `None` if it is in a store that is backed up by itself.
    pub async fn snapshot(&self) -> Result<Option<Box<dyn StateSnapshot>>, backend::Error> {
        self.services.backend.snapshot().await
    }

    /// Reports that the turn of a fired reminder failed.
    pub async fn reminder_failed(&self, actor: &ActorAddress, name: &str) {
        self.services.backend.reminder_failed(actor, name).await;
    }

    /// Publishes an event for the host itself, and waits until the broker has accepted it.
    pub async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), backend::Error> {
        self.services.backend.publish(topic, event).await
    }

    /// The number of live instances, and the maximum.
    pub fn live_instances(&self) -> (usize, usize) {
        self.services.live.usage()
    }

    /// Active actors.
    pub fn active(&self) -> usize {
        self.services.active.len()
    }
}
