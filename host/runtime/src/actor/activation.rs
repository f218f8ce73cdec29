//! The execution of an activation: calls wait in its queue, and a task processes them one after the other, as long as
//! there are any.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_base::shares::SharePermit;
use daca_model::{CallContext, CallError, CallIdentity};
use futures::FutureExt as _;
use parking_lot::MutexGuard;
use tokio::sync::{OwnedRwLockReadGuard, oneshot};
use tokio::time::Instant;

use super::recent_calls::CallResult;
use super::record::{Activation, Inner, Phase};
use super::services::Services;
use super::turn;
use super::warm_state::WarmState;
use super::work::{End, Job, Work};

/// The result of offering a job.
pub(super) enum Offer {
    Taken,
    /// The queue is full; the job is returned, with the number of waiting jobs.
    Full(Box<Job>, usize),
    /// The activation has ended; another one must take the job.
    Closed(Box<Job>),
}

impl Activation {
    /// Appends a job to the queue, and starts a task when none runs.
    pub(super) fn offer(self: &Arc<Self>, services: &Arc<Services>, job: Job) -> Offer {
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Closed) {
            return Offer::Closed(Box::new(job));
        }
        if self.enters_again(&inner, &job)
            && let Ok(place) = self.nested.running.clone().try_read_owned()
        {
            drop(inner);
            let nested = self.clone().run_nested(services.clone(), job, place);
            services.guests.spawn(&self.address.agent_type, self.used.clone(), Box::pin(nested));
            return Offer::Taken;
        }
        // The job that starts a task never waits, so it takes no slot of the queue.
        if matches!(inner.phase, Phase::Idle) {
            self.start(services, inner, job);
            return Offer::Taken;
        }
        let limit = self.agent.agent.limits.queue;
        if inner.is_full(limit) {
            return Offer::Full(Box::new(job), limit);
        }
        inner.queue.push_back(job);
        Offer::Taken
    }

    /// Returns `true` if the job belongs to the call that the running turn waits for. It must then not wait behind that
    /// turn.
    fn enters_again(&self, inner: &Inner, job: &Job) -> bool {
        let Phase::Running(running) = &inner.phase else { return false };
        self.agent.agent.calls.reentrancy.is_some()
            && job.context.reentrancy_id.is_some()
            && job.context.reentrancy_id == running.reentrancy_id
            && job.context.waiting.contains(&self.address)
    }

    /// Runs a turn nested in another one of this actor, which waits for it. It gets a separate instance (a component
    /// cannot be entered while it waits), sees committed state, and commits by itself.
    async fn run_nested(self: Arc<Self>, services: Arc<Services>, job: Job, place: OwnedRwLockReadGuard<()>) {
        let Job { work, mut context, answer, in_flight: _permit, .. } = job;
        let mut warm = WarmState::default();
        // The waiting turn has the dedup log of such calls, and would overwrite what this one adds to it.
        drop(context.identity.take_if(|identity| matches!(identity, CallIdentity::Attempt(_))));
        let result = self.run_turn(&services, &mut warm, work, context).await;
        self.nested.commits.fetch_add(1, Ordering::Release);
        drop(place);
        answer.send(result);
        warm.let_effects_leave();
    }

    /// The backend has given up the actor: ends the running turn at once, and the activation after the jobs in its
    /// queue. Nothing that it does from now on is committed, and nobody waits for it.
    ///
    /// An end that is the last in the queue serves for this one, too: a backend may repeat itself as often as it likes.
    pub(super) fn give_up(self: &Arc<Self>, services: &Arc<Services>) {
        self.lease.revoke();
        let mut inner = self.lock();
        if inner.queue.back().is_some_and(|last| last.work.is_end()) {
            return;
        }
        let (job, _nobody_waits) = Job::deactivation(End { ends_timers: true, commits: false });
        match inner.phase {
            Phase::Closed => {}
            Phase::Running(_) => inner.queue.push_back(job),
            Phase::Idle => self.start(services, inner, job),
        }
    }

    /// Ends the activation if it is idle. `None` if it is in use.
    pub(super) fn deactivate_if_idle(
        self: &Arc<Self>,
        services: &Arc<Services>,
        ends_timers: bool,
    ) -> Option<oneshot::Receiver<CallResult>> {
        let inner = self.lock();
        if !matches!(inner.phase, Phase::Idle) {
            return None;
        }
        let (job, done) = Job::deactivation(End { ends_timers, commits: true });
        self.start(services, inner, job);
        Some(done)
    }

    /// Starts the task of an idle activation with its first job, which needs no queue: the queue of an actor that is
    /// called now and then has no memory.
    fn start(self: &Arc<Self>, services: &Arc<Services>, mut inner: MutexGuard<'_, Inner>, job: Job) {
        inner.begin(&job);
        if let Some(number) = inner.idle_number.take()
            && let Some(idle) = services.active.idle_of(&self.agent)
        {
            idle.remove(number);
        }
        services.live.idle.busy(&self.address.agent_type, std::mem::take(&mut inner.idle_entries));
        let warm = std::mem::take(&mut inner.warm);
        drop(inner);
        // A task moves its future several times, and this one is large.
        let run = Box::pin(self.clone().run(services.clone(), warm, job));
        services.guests.spawn(&self.address.agent_type, self.used.clone(), run);
    }

    /// Runs the first job, and then the queue until it is empty. Turns of this actor run only here.
    async fn run(self: Arc<Self>, services: Arc<Services>, mut warm: WarmState, first: Job) {
        let mut next = Some(first);
        while let Some(mut job) = next {
            let in_flight = job.in_flight.take();
            self.run_job(&services, &mut warm, job).await;
            next = self.next(&services, &mut warm, in_flight);
        }
    }

    async fn run_job(self: &Arc<Self>, services: &Arc<Services>, warm: &mut WarmState, job: Job) {
        let Job { work, context, mut answer, arrived, .. } = job;
        // A turn nested in the last one may outlive it if that one ran out of time.
        drop(self.nested.running.write().await);
        // The caller has hung up before anything happened: nobody would learn of the result.
        if matches!(work, Work::Call(_) | Work::Effects(_)) && answer.is_abandoned() {
            return;
        }
        let ends = work.is_end();
        if !ends && work.is_counted() {
            self.agent.durations.queue_wait.observe(arrived.elapsed());
        }
        let generation = self.lease.generation();
        let result = self.run_turn(services, warm, work, context).await;
        if ends {
            warm.let_effects_leave();
            *warm = WarmState::default();
            self.drop_effects();
            self.has_begun.store(false, Ordering::Relaxed);
            self.lease.renew(generation);
            self.close_if_unused(services);
        }
        answer.send(result);
        // The caller does not wait for them.
        warm.let_effects_leave();
    }

    async fn run_turn(
        &self,
        services: &Arc<Services>,
        warm: &mut WarmState,
        work: Work,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        let ended = {
            let turn = pin!(turn::run(services, self, warm, work, context));
            // A panic in the host would leave the actor without a task, and its callers without an answer, forever.
            std::panic::AssertUnwindSafe(turn).catch_unwind().await
        };
        if let Ok(result) = ended {
            return result;
        }
        tracing::error!(code = ErrorCode::Internal.as_str(), agent_type = %self.address.agent_type, actor_id = &*self.address.id, "a turn panicked in the host");
        *warm = WarmState::default();
        self.drop_effects();
        Err(CallError::Internal)
    }

    /// Returns the next job. If the queue is empty, returns `None` and puts the shared state back into the record. The
    /// permit of the last job is returned after that: a shutdown that sees no turns in flight finds the actor idle, and
    /// deactivates it.
    fn next(
        self: &Arc<Self>,
        services: &Arc<Services>,
        warm: &mut WarmState,
        last: Option<SharePermit>,
    ) -> Option<Job> {
        let mut inner = self.lock();
        if let Some(job) = inner.queue.pop_front() {
            // A closed record has no queue.
            inner.begin(&job);
            return Some(job);
        }
        if matches!(inner.phase, Phase::Closed) {
            return None;
        }
        inner.queue.shrink_to_fit();
        let now = Instant::now();
        if !matches!(&inner.phase, Phase::Running(running) if running.is_of_host) {
            inner.used = now;
        }
        inner.phase = Phase::Idle;
        inner.idle_since = now;
        inner.warm = std::mem::take(warm);
        let split = self.agent.rollout.now();
        let loaded = split.choose(&self.address.id);
        // Another version may have been deployed during the turn, and this actor may not be called again.
        let outdated = inner.warm.instance.take_if(|instance| !loaded.is_of(instance));
        // The host's reminder keeps an actor active whose effects wait, maybe for a day; its instance need not wait.
        let is_unused = now.duration_since(inner.used) > self.agent.agent.idle_timeout;
        let unused = if is_unused { inner.warm.instance.take() } else { None };
        inner.idle_number = services.active.idle_of(&self.agent).map(|idle| idle.push(self, now));
        let cached = inner.warm.state_bytes();
        inner.cached.set(cached);
        inner.idle_entries = services.live.idle.idle(self, inner.warm.instance.as_deref(), cached);
        drop(inner);
        drop(last);
        drop((outdated, unused));
        services.live.idle.trim();
        services.engine.memory().became_idle();
        if services.live.is_wanted() {
            services.live.evict_for_waiting(&self.address.agent_type);
        }
        None
    }

    /// Calls may have arrived during the deactivation; they begin a new activation in this same record.
    fn close_if_unused(self: &Arc<Self>, services: &Services) {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            inner.phase = Phase::Closed;
            drop(inner);
            services.active.forget(self);
        }
    }
}

#[cfg(test)]
mod tests;
