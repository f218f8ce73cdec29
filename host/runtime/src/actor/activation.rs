//! An activation: the host's record of one actor that is active here.
//!
//! Calls wait in a queue. A task takes them out one after the other, as long as there are any. An idle actor has no
//! task, so it costs a few hundred bytes and no scheduling. What the turns share, the instance and the cached state, is
//! kept in the record while no task runs, and by the task while one does.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handled::Handled;
use super::recent_calls::{Answer, CallResult};
use super::shape::Shape;
use super::table::{AgentRuntime, Shared};
use super::unconfirmed::Unconfirmed;
use super::{ActorAddress, CallContext, CallError, CallIdentity, turn};
use crate::component::{Instance, Rollout, Served};
use crate::imports::StateCache;
use daca_model::TurnKind;
use daca_model::backend::{Backend, FiredWakeup};

/// The record of an active actor.
pub(super) struct Activation {
    pub(super) address: ActorAddress,
    pub(super) agent: Arc<AgentRuntime>,
    /// Turns of this actor that committed while another of its turns waited for them.
    pub(super) nested_commits: Arc<AtomicU64>,
    /// Held by turns nested in another one, so that the next turn does not begin before they have ended.
    nested: Arc<RwLock<()>>,
    /// The ownership epoch in which the sidecar accepted a write of the actor, plus one; 0 if it has not accepted any,
    /// or has ended the activation since.
    written_in: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    queue: VecDeque<Job>,
    phase: Phase,
    resident: Resident,
    /// Positions in the lists of idle activations and of idle instances.
    idle_number: Option<u64>,
    live_number: Option<u64>,
    idle_since: Instant,
    turns: u64,
    /// The reentrancy id of the running turn's call.
    reentrancy_id: Option<Arc<str>>,
    /// The version of the running turn.
    served: Option<Arc<Served>>,
    /// Cancelled when the sidecar revokes this activation: it has cut off what runs, and waits for its end.
    cut_off: CancellationToken,
    /// The number of times it has done so: the lease generation.
    endings: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A task processes the queue.
    Running,
    /// Deactivated: this record accepts no more jobs, and the table removes it.
    Closed,
}

/// The state that an actor keeps between turns.
#[derive(Default)]
pub(super) struct Resident {
    pub(super) instance: Option<Instance>,
    pub(super) cache: StateCache,
    /// The schema of the stored state. `None` if it has not been read.
    pub(super) shape: Option<Shape>,
    /// The dedup log: the calls that the actor has handled and that may be repeated. `None` if it has not been read.
    pub(super) handled: Option<Handled>,
    /// The ownership epoch that they belong to.
    pub(super) era: u64,
    /// The last turn, if its commit is in doubt.
    pub(super) unconfirmed: Option<Box<Unconfirmed>>,
}

/// One turn to run.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) context: CallContext,
    pub(super) answer: Answer,
    /// The job's permit among the host's turns in flight. `None` for the host's own turns.
    pub(super) _in_flight: Option<OwnedSemaphorePermit>,
}

impl Job {
    fn deactivation(end: End) -> (Job, oneshot::Receiver<CallResult>) {
        let (answer, done) = Answer::channel();
        let context = CallContext::default();
        (Job { work: Work::Deactivate(end), context, answer, _in_flight: None }, done)
    }
}

/// The kind of work of a job.
pub(super) enum Work {
    /// A call of a method.
    Call(TurnKind),
    /// A due reminder or timer.
    Wake(TurnKind, FiredWakeup),
    /// The end of the activation.
    Deactivate(End),
}

/// How an activation ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The actor's timers end with it.
    pub(super) ends_timers: bool,
    /// The writes of the agent's hook are committed. They are not when the sidecar has already given up the actor: it
    /// rejects every write of an actor that it does not own (Dapr 1.16.2 and later, `Deactivate` in
    /// `pkg/actors/targets/app/app.go`).
    pub(super) commits: bool,
}

/// The result of offering a job.
pub(super) enum Offer {
    Taken,
    /// The queue is full; the job is returned, with the number of waiting jobs.
    Full(Box<Job>, usize),
    /// The activation has ended; another one must take the job.
    Closed(Box<Job>),
}

/// The view of an activation in the admin API.
pub(super) struct Snapshot {
    pub(super) is_running: bool,
    pub(super) queued: usize,
    pub(super) has_instance: bool,
    pub(super) idle: Option<Duration>,
    pub(super) turns: u64,
}

impl Activation {
    pub(super) fn new(address: ActorAddress, agent: Arc<AgentRuntime>) -> Arc<Activation> {
        let inner = Inner {
            queue: VecDeque::new(),
            phase: Phase::Idle,
            resident: Resident::default(),
            idle_number: None,
            live_number: None,
            idle_since: Instant::now(),
            turns: 0,
            reentrancy_id: None,
            served: None,
            cut_off: CancellationToken::new(),
            endings: 0,
        };
        Arc::new(Activation {
            address,
            agent,
            nested_commits: Arc::default(),
            nested: Arc::default(),
            written_in: AtomicU64::new(0),
            inner: Mutex::new(inner),
        })
    }

    /// Appends a job to the queue, and starts a task when none runs.
    pub(super) fn offer(self: &Arc<Self>, shared: &Arc<Shared>, job: Job) -> Offer {
        let mut inner = self.lock();
        if inner.phase == Phase::Closed {
            return Offer::Closed(Box::new(job));
        }
        if self.enters_again(&inner, &job)
            && let Ok(place) = self.nested.clone().try_read_owned()
        {
            drop(inner);
            tokio::spawn(self.clone().run_nested(shared.clone(), job, place));
            return Offer::Taken;
        }
        let limit = self.agent.agent.limits.queue;
        // The job that starts a task never waits, so it takes no slot of the queue.
        if inner.phase == Phase::Running && inner.queue.len() >= limit {
            return Offer::Full(Box::new(job), limit);
        }
        inner.queue.push_back(job);
        if inner.phase == Phase::Idle {
            self.start(shared, inner);
        }
        Offer::Taken
    }

    /// Returns `true` if the job belongs to the call that the running turn waits for. It must then not wait behind that
    /// turn.
    fn enters_again(&self, inner: &Inner, job: &Job) -> bool {
        self.agent.agent.reentrancy.is_some()
            && inner.phase == Phase::Running
            && job.context.reentrancy_id.is_some()
            && job.context.reentrancy_id == inner.reentrancy_id
            && job.context.waiting.contains(&self.address)
    }

    /// Runs a turn nested in another one of this actor, which waits for it. It gets a separate instance (a component
    /// cannot be entered while it waits), sees committed state, and commits by itself.
    async fn run_nested(self: Arc<Self>, shared: Arc<Shared>, job: Job, place: OwnedRwLockReadGuard<()>) {
        let Job { work, mut context, answer, _in_flight } = job;
        let mut resident = Resident::default();
        // The waiting turn has the dedup log of such calls, and would overwrite what this one adds to it.
        drop(context.identity.take_if(|identity| matches!(identity, CallIdentity::Attempt(_))));
        let result = self.run_turn(&shared, &mut resident, work, context).await;
        self.nested_commits.fetch_add(1, Ordering::Release);
        drop(place);
        answer.send(result);
    }

    /// The sidecar has given up the actor: ends the running turn at once, and the activation after the jobs in its
    /// queue. Nothing that it does from now on is committed, and nobody waits for it.
    pub(super) fn give_up(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut inner = self.lock();
        inner.endings += 1;
        self.written_in.store(0, Ordering::Release);
        inner.cut_off.cancel();
        let (job, _nobody_waits) = Job::deactivation(End { ends_timers: true, commits: false });
        match inner.phase {
            Phase::Closed => {}
            Phase::Running => inner.queue.push_back(job),
            Phase::Idle => {
                inner.queue.push_back(job);
                self.start(shared, inner);
            }
        }
    }

    /// Ends the activation if it is idle. `None` if it is in use.
    pub(super) fn deactivate_if_idle(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        idle: bool,
    ) -> Option<oneshot::Receiver<CallResult>> {
        let mut inner = self.lock();
        if inner.phase != Phase::Idle {
            return None;
        }
        let (job, done) = Job::deactivation(End { ends_timers: idle, commits: true });
        inner.queue.push_back(job);
        self.start(shared, inner);
        Some(done)
    }

    /// The lease generation: how often the sidecar has ended this activation.
    pub(super) fn endings(&self) -> u64 {
        self.lock().endings
    }

    /// Confirms that the sidecar accepted a write of the actor in this ownership epoch, in a turn that began with this
    /// lease generation. That a call came from the sidecar proves less: it may have been under way while the actor
    /// moved.
    pub(super) fn note_written(&self, era: u64, endings: u64) {
        let inner = self.lock();
        if inner.endings == endings {
            self.written_in.store(era + 1, Ordering::Release);
        }
    }

    /// Returns `true` if the sidecar is known to own the actor here: it has accepted a write, has not ended the
    /// activation since, and was reachable all the time.
    pub(super) fn lives_here(&self, backend: &dyn Backend) -> bool {
        let era = backend.era();
        self.written_in.load(Ordering::Acquire) == era + 1 && backend.vouches(era)
    }

    /// Drops the instance of an idle activation. Returns `false` if it has none or is in use.
    pub(super) fn give_up_instance(&self) -> bool {
        let mut inner = self.lock();
        if inner.phase != Phase::Idle {
            return false;
        }
        inner.live_number = None;
        let instance = inner.resident.instance.take();
        drop(inner);
        instance.is_some()
    }

    /// Drops the instance of an idle activation if it is not of the version that serves the actor now.
    pub(super) fn give_up_outdated_instance(&self, rollout: &Rollout) {
        let mut inner = self.lock();
        let served = rollout.choose(&self.address.id);
        // A running turn has taken it out of the record; whether it is put back is decided afterwards.
        let instance = inner.resident.instance.take_if(|instance| !served.is_of(instance));
        drop(inner);
        drop(instance);
    }

    /// The version for a turn that begins now: that of the turn that waits for it, if any. Two versions must not write
    /// one actor's state at the same time.
    pub(super) fn served(&self, rollout: &Rollout) -> Arc<Served> {
        let mut inner = self.lock();
        inner.served.get_or_insert_with(|| rollout.choose(&self.address.id).clone()).clone()
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let inner = self.lock();
        let is_running = inner.phase == Phase::Running;
        Snapshot {
            is_running,
            queued: inner.queue.len(),
            has_instance: is_running || inner.resident.instance.is_some(),
            idle: (!is_running).then(|| now.saturating_duration_since(inner.idle_since)),
            turns: inner.turns,
        }
    }

    /// Cancelled when the sidecar revokes the activation. For turns that begin now.
    pub(super) fn cut_off(&self) -> CancellationToken {
        self.lock().cut_off.clone()
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>, mut inner: MutexGuard<'_, Inner>) {
        inner.phase = Phase::Running;
        if let Some(number) = inner.idle_number.take() {
            self.agent.idle.remove(number);
        }
        if let Some(number) = inner.live_number.take() {
            shared.live.busy(number);
        }
        let resident = std::mem::take(&mut inner.resident);
        drop(inner);
        // A task moves its future several times, and this one is large.
        tokio::spawn(Box::pin(self.clone().run(shared.clone(), resident)));
    }

    /// Processes the queue until it is empty. Turns of this actor run only here.
    async fn run(self: Arc<Self>, shared: Arc<Shared>, mut resident: Resident) {
        while let Some(job) = self.next(&shared, &mut resident) {
            let Job { work, context, mut answer, _in_flight } = job;
            // A turn nested in the last one may outlive it if that one ran out of time.
            drop(self.nested.write().await);
            // The caller has hung up before anything happened: nobody would learn of the result.
            if matches!(work, Work::Call(_)) && answer.is_abandoned() {
                continue;
            }
            let ends = matches!(work, Work::Deactivate(_));
            let endings = self.endings();
            let result = self.run_turn(&shared, &mut resident, work, context).await;
            if ends {
                resident = Resident::default();
                self.begin_anew(endings);
                self.close_if_unused(&shared);
            }
            answer.send(result);
        }
    }

    async fn run_turn(
        &self,
        shared: &Arc<Shared>,
        resident: &mut Resident,
        work: Work,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        let ended = {
            let turn = pin!(turn::run(shared, self, resident, work, context));
            // A panic in the host would leave the actor without a task, and its callers without an answer, forever.
            std::panic::AssertUnwindSafe(turn).catch_unwind().await
        };
        if let Ok(result) = ended {
            return result;
        }
        tracing::error!(code = "internal", agent_type = %self.address.agent_type, actor_id = &*self.address.id, "a turn panicked in the host");
        *resident = Resident::default();
        Err(CallError::Internal)
    }

    /// Returns the next job. If the queue is empty, returns `None` and puts the shared state back into the record.
    fn next(self: &Arc<Self>, shared: &Arc<Shared>, resident: &mut Resident) -> Option<Job> {
        let mut inner = self.lock();
        if let Some(job) = inner.queue.pop_front() {
            inner.turns += 1;
            inner.reentrancy_id = job.context.reentrancy_id.clone();
            inner.served = None;
            return Some(job);
        }
        if inner.phase == Phase::Closed {
            return None;
        }
        inner.queue.shrink_to_fit();
        inner.phase = Phase::Idle;
        inner.reentrancy_id = None;
        inner.served = None;
        inner.idle_since = Instant::now();
        inner.resident = std::mem::take(resident);
        let rollout = self.agent.serving.now();
        let served = rollout.choose(&self.address.id);
        // Another version may have been deployed during the turn, and this actor may not be called again.
        let outdated = inner.resident.instance.take_if(|instance| !served.is_of(instance));
        inner.idle_number = Some(self.agent.idle.push(self));
        if inner.resident.instance.is_some() {
            inner.live_number = Some(shared.live.idle(self));
        }
        drop(inner);
        drop(outdated);
        if shared.live.is_wanted() {
            shared.live.evict_one();
        }
        None
    }

    /// Calls from now on are not cut off, unless the sidecar has revoked the activation once more; then the calls that
    /// wait from before are.
    fn begin_anew(&self, endings: u64) {
        let mut inner = self.lock();
        if inner.endings == endings {
            inner.cut_off = CancellationToken::new();
        }
    }

    /// Calls may have arrived during the deactivation; they begin a new activation in this same record.
    fn close_if_unused(self: &Arc<Self>, shared: &Shared) {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            inner.phase = Phase::Closed;
            drop(inner);
            shared.forget(self);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
