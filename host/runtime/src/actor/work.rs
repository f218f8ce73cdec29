//! The work of an activation: a call, a wake-up, what operators ask of its effects, work of the host on them, or its end.

use daca_base::memory::Reservation;
use daca_base::shares::SharePermit;
use daca_base::telemetry::printable;
use daca_model::admin::EffectsRequest;
use daca_model::backend::{FiredWakeup, WakeupKind};
use daca_model::{CallContext, TurnKind};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::effect_log;
use super::recent_calls::{Answer, CallResult};

/// One turn to run.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) context: CallContext,
    pub(super) answer: Answer,
    /// The time of its arrival.
    pub(super) arrived: Instant,
    /// The job's permit among the host's turns in flight. `None` for the host's own turns.
    pub(super) in_flight: Option<SharePermit>,
    /// The part of the host's budget of memory that its payload has.
    pub(super) _reserved: Option<Reservation>,
}

impl Job {
    /// The end of an activation, and the receiver of its result.
    pub(super) fn deactivation(end: End) -> (Job, oneshot::Receiver<CallResult>) {
        let (answer, done) = Answer::channel();
        let (context, arrived) = (CallContext::default(), Instant::now());
        let work = Work::Deactivate(end);
        (Job { work, context, answer, arrived, in_flight: None, _reserved: None }, done)
    }
}

/// The kind of work of a job.
pub(super) enum Work {
    /// A call of a method.
    Call(TurnKind),
    /// A due reminder or timer.
    Wake(TurnKind, FiredWakeup),
    /// Tells the agent of an effect that failed, if there is one of which it does not know.
    Tell,
    /// A look at the actor's effects, or a change of its dead letters. The guest has no part in it.
    Effects(EffectsRequest),
    /// Removes from the store the effects that have left. The guest has no part in it.
    RemoveSent,
    /// The end of the activation.
    Deactivate(End),
}

/// How an activation ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The actor's timers end with it.
    pub(super) ends_timers: bool,
    /// The writes of the agent's hook are committed. They are not when the backend has already given up the actor: it
    /// rejects every write of an actor that this host does not own.
    pub(super) commits: bool,
}

impl Work {
    /// The bytes of its payload.
    pub(super) fn payload_bytes(&self) -> u64 {
        let (Work::Call(kind) | Work::Wake(kind, _)) = self else { return 0 };
        match kind {
            TurnKind::Method { payload, .. } => payload.len() as u64,
            TurnKind::Wakeup { data, .. } => data.len() as u64,
            _ => 0,
        }
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> String {
        match self {
            Work::Call(TurnKind::Method { name, .. }) => printable(name).into_owned(),
            Work::Wake(_, FiredWakeup { key, .. }) => {
                format!("{} {}", wakeup_noun(key.kind), printable(&key.name))
            }
            Work::Tell => "on-effect-failed".to_owned(),
            Work::Effects(_) => "effects".to_owned(),
            Work::RemoveSent => "removal of effects".to_owned(),
            Work::Call(_) | Work::Deactivate(_) => "deactivate".to_owned(),
        }
    }
}

impl Work {
    /// Returns `true` for the end of the activation.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Work::Deactivate(_))
    }

    /// Returns `true` if it counts among the actor's turns, and for the waits of their callers. Nobody has called for the
    /// removal of effects that have left.
    pub(super) fn is_counted(&self) -> bool {
        !matches!(self, Work::RemoveSent)
    }

    /// Returns `true` for the host's own work on effects, and for what operators ask: they are no use of the actor.
    pub(super) fn is_of_host(&self) -> bool {
        match self {
            Work::Wake(_, fired) => effect_log::is_reminder(fired),
            Work::Effects(_) | Work::RemoveSent => true,
            Work::Call(_) | Work::Tell | Work::Deactivate(_) => false,
        }
    }
}

/// The word for a wake-up in log lines.
pub(super) fn wakeup_noun(kind: WakeupKind) -> &'static str {
    match kind {
        WakeupKind::Reminder => "reminder",
        WakeupKind::Timer => "timer",
    }
}
