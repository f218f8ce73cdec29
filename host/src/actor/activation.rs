//! An activation: the host's record of one actor that is active here.
//!
//! Calls wait in a queue, and a task takes them out one after the other, for as long as there are any. An idle actor has no
//! task, so that it costs a few hundred bytes and no scheduling. What the turns need between them, the instance and the
//! cached state, lies in the record while no task runs, and with the task while one does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::table::{AgentRuntime, Shared};
use super::{ActorAddress, CallChain, CallError, turn};
use crate::backend::FiredWakeup;
use crate::component::{Instance, TurnKind};
use crate::imports::StateCache;

/// The record of an active actor.
pub(super) struct Activation {
    pub(super) address: ActorAddress,
    pub(super) agent: Arc<AgentRuntime>,
    inner: Mutex<Inner>,
}

struct Inner {
    queue: VecDeque<Job>,
    phase: Phase,
    resident: Resident,
    /// Places in the lists of idle activations and of idle instances.
    idle_number: Option<u64>,
    live_number: Option<u64>,
    idle_since: Instant,
    turns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A task takes jobs out of the queue.
    Running,
    /// Deactivated: this record takes no more jobs, and the table forgets it.
    Closed,
}

/// What an actor keeps between turns.
#[derive(Default)]
pub(super) struct Resident {
    pub(super) instance: Option<Instance>,
    pub(super) cache: StateCache,
}

/// One turn to run.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) chain: CallChain,
    pub(super) answer: oneshot::Sender<Result<Bytes, CallError>>,
    /// The job's part of the host's turns in flight. None for the host's own turns.
    pub(super) _in_flight: Option<OwnedSemaphorePermit>,
}

/// What a job does.
pub(super) enum Work {
    /// A call of a method.
    Call(TurnKind),
    /// A reminder or timer that is due.
    Wake(TurnKind, FiredWakeup),
    /// The end of the activation; `idle` ends the actor's timers as well.
    Deactivate { idle: bool },
}

/// What became of a job that was offered.
pub(super) enum Offer {
    Taken,
    /// The queue is full.
    Full(usize),
    /// The activation is over; another one must take the job.
    Closed(Job),
}

/// What the admin API shows of an activation.
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
        };
        Arc::new(Activation { address, agent, inner: Mutex::new(inner) })
    }

    /// Puts a job at the end of the queue, and starts a task when none runs.
    pub(super) fn offer(self: &Arc<Self>, shared: &Arc<Shared>, job: Job) -> Offer {
        let mut inner = self.lock();
        if inner.phase == Phase::Closed {
            return Offer::Closed(job);
        }
        let limit = self.agent.agent.limits.queue;
        // The job that starts a task never waits, so it takes no place.
        if inner.phase == Phase::Running && inner.queue.len() >= limit {
            return Offer::Full(limit);
        }
        inner.queue.push_back(job);
        if inner.phase == Phase::Idle {
            self.start(shared, inner);
        }
        Offer::Taken
    }

    /// Ends the activation if it is idle. None when it is not: then it is in use.
    pub(super) fn deactivate_if_idle(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        idle: bool,
    ) -> Option<oneshot::Receiver<Result<Bytes, CallError>>> {
        let mut inner = self.lock();
        if inner.phase != Phase::Idle {
            return None;
        }
        let (answer, done) = oneshot::channel();
        let job =
            Job { work: Work::Deactivate { idle }, chain: CallChain::default(), answer, _in_flight: None };
        inner.queue.push_back(job);
        self.start(shared, inner);
        Some(done)
    }

    /// Drops the instance of an idle activation. False when it has none or is in use.
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
        tokio::spawn(self.clone().run(shared.clone(), resident));
    }

    /// Takes jobs out of the queue until there is none. The one place where turns of this actor run.
    async fn run(self: Arc<Self>, shared: Arc<Shared>, mut resident: Resident) {
        while let Some(job) = self.next(&shared, &mut resident) {
            let Job { work, chain, answer, _in_flight } = job;
            // The caller has hung up and nothing has happened yet: nobody would learn of what we did.
            if answer.is_closed() && matches!(work, Work::Call(_)) {
                continue;
            }
            let ends = matches!(work, Work::Deactivate { .. });
            let turn = turn::run(&shared, &self, &mut resident, work, chain);
            // A panic in the host would leave the actor without a task, and its callers without an answer, for ever.
            let result = match std::panic::AssertUnwindSafe(turn).catch_unwind().await {
                Ok(result) => result,
                Err(_panic) => {
                    tracing::error!(code = "internal", agent_type = %self.address.agent_type, actor_id = %self.address.id, "a turn panicked in the host");
                    resident = Resident::default();
                    Err(CallError::Internal)
                }
            };
            if ends {
                resident = Resident::default();
                self.close_if_unused(&shared);
            }
            let _caller_may_be_gone = answer.send(result);
        }
    }

    /// The next job, or none when the queue is empty; then what the turns shared goes back into the record.
    fn next(self: &Arc<Self>, shared: &Arc<Shared>, resident: &mut Resident) -> Option<Job> {
        let mut inner = self.lock();
        if let Some(job) = inner.queue.pop_front() {
            inner.turns += 1;
            return Some(job);
        }
        if inner.phase == Phase::Closed {
            return None;
        }
        inner.queue.shrink_to_fit();
        inner.phase = Phase::Idle;
        inner.idle_since = Instant::now();
        inner.resident = std::mem::take(resident);
        inner.idle_number = Some(self.agent.idle.push(self));
        if inner.resident.instance.is_some() {
            inner.live_number = Some(shared.live.idle(self));
        }
        drop(inner);
        if shared.live.is_wanted() {
            shared.live.evict_one();
        }
        None
    }

    /// Calls may have come while the deactivation ran; they begin a new activation in this same record.
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
