//! One turn: an instance is taken or created, the guest runs, and its result commits as a whole or not at all.
//!
//! [`run`] takes a turn from its beginning to its end. [`guest`] runs the guest, only [`commit`] makes a turn durable,
//! for every backend, [`effects_request`] does what operators ask of an actor's effects, [`removal`] removes those that have
//! left, [`id`] names turns, [`repeated`] recognises calls that were handled before, [`tell`] tells the agent of effects that failed, and
//! [`outcome`] interprets the end of a turn for its caller and its version. Effects leave after the commit, so no event
//! ever announces state that was not saved.

mod commit;
mod effects;
mod effects_request;
mod guest;
mod id;
mod outcome;
mod removal;
mod repeated;
mod tell;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_model::backend::{self, TurnCommit};
use daca_model::{ActorAddress, CallContext, CallError, TurnKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::dedup_log::DedupKey;
use super::effect_log;
use super::record::Activation;
use super::services::Services;
use super::warm_state::WarmState;
use super::work::{End, Work};
use crate::component::{LoadedVersion, Outcome, TrafficSplit};
use crate::imports::TurnProducts;

/// The number of idle instances that are evicted to make room for one, before the call is answered 503.
pub(super) const MAX_EVICTIONS: usize = 16;

/// Runs a turn of an actor. Its log lines have the actor, the turn and the version.
pub(super) async fn run(
    services: &Arc<Services>,
    activation: &Activation,
    warm: &mut WarmState,
    work: Work,
    context: CallContext,
) -> Result<Bytes, CallError> {
    let turn_id = id::next_turn_id();
    let split = match work {
        Work::Deactivate(_) => activation.agent.rollout.now(),
        _ => activation.agent.rollout.known().await.map_err(|error| {
            CallError::Backend(backend::Error::NotApplied(format!(
                "{error}: the hosts' shared state cannot be read"
            )))
        })?,
    };
    let loaded = activation.version_for_turn(&split);
    let span = span(&activation.address, &turn_id, loaded.version.short_digest());
    let revoked = match work {
        Work::Deactivate(_) => CancellationToken::new(),
        _ => activation.lease.revoked(),
    };
    let generation = activation.lease.generation();
    let ends = matches!(work, Work::Deactivate(End { commits: true, .. }));
    let removes = matches!(work, Work::RemoveSent);
    let turn =
        Turn { services, activation, split, loaded, context, turn_id, revoked, generation, ends, removes };
    // Pinned here, because a wrapper would move the future.
    let running = pin!(async {
        let started = Instant::now();
        let epoch = services.backend.epoch();
        if warm.epoch != epoch {
            let in_doubt = warm.in_doubt.take();
            *warm = WarmState { epoch, in_doubt, ..WarmState::default() };
        }
        let settled = match turn.check_direct() {
            Ok(()) => turn.settle_in_doubt(warm).await,
            Err(given_up) => return Err(given_up),
        };
        let result = match settled {
            Err(error) if !matches!(work, Work::Deactivate(_)) => Err(CallError::Backend(error)),
            Err(error) => {
                tracing::warn!(
                    code = ErrorCode::OutcomeUnknown.as_str(),
                    "whether the previous turn was kept cannot be determined; if it was, its effects leave with the actor's next activation: {error}"
                );
                turn.run(warm, &work).await
            }
            Ok(()) => turn.run(warm, &work).await,
        };
        warm.cache.trim();
        turn.note(&work, started, &result);
        result.map(|answered| answered.reply)
    });
    running.instrument(span).await
}

/// The span that the turn's log lines have.
fn span(actor: &ActorAddress, turn_id: &str, component: &str) -> tracing::Span {
    tracing::info_span!(
        "turn",
        agent_type = %actor.agent_type,
        // As strings, which the text log quotes: an id may look like the rest of a line.
        actor_id = &*actor.id,
        turn = %turn_id,
        component,
    )
}

struct Turn<'a> {
    services: &'a Arc<Services>,
    activation: &'a Activation,
    split: Arc<TrafficSplit>,
    /// The version of the turn. Also at the end of an activation: the hook of an older instance could write state in an
    /// outdated schema.
    loaded: Arc<LoadedVersion>,
    context: CallContext,
    turn_id: Arc<str>,
    /// Cancelled when the backend gives up the actor during the turn.
    revoked: CancellationToken,
    /// The lease generation at the beginning of the turn.
    generation: u64,
    /// It ends the activation, and what it writes is kept.
    ends: bool,
    /// It only removes effects that have left.
    removes: bool,
}

impl Turn<'_> {
    async fn run(&self, warm: &mut WarmState, work: &Work) -> Result<Answered, CallError> {
        let (kind, handled, end) = match work {
            Work::Call(kind) => (kind, None, None),
            Work::Wake(kind, fired) => (kind, Some(fired.clone()), None),
            Work::Tell => return self.tell(warm).await,
            Work::Effects(request) => return self.handle_effects_request(warm, request.clone()).await,
            Work::RemoveSent => return self.remove_sent(warm).await,
            Work::Deactivate(end) => (&TurnKind::Deactivate, None, Some(*end)),
        };
        let ends_timers = end.is_some_and(|end| end.ends_timers);
        let is_too_late = end.is_some_and(|end| !end.commits);
        let is_of_host = handled.as_ref().is_some_and(effect_log::is_reminder);
        if is_of_host || (end.is_some() && !self.ends_with_hook(warm, is_too_late)) {
            let products = self.scope(warm, None, handled, ends_timers).finish();
            let reply = self.commit(warm, products, Bytes::new()).await?;
            return Ok(Answered { reply, is_without_guest: is_of_host });
        }
        let deadline = Instant::now() + self.activation.agent.agent.limits.turn_time;
        let dedup_key = self.context.identity.clone().map(|identity| DedupKey::new(identity, kind));
        let fired = handled.clone().filter(|_| dedup_key.is_some());
        // The commit is not interrupted: its outcome must be known. Until this turn ends, a backend that has revoked
        // the lease lets nobody read or write state, so the guest would wait for something that waits for its end.
        let guest = async {
            if let Some(reply) = self.answer_of_before(warm, dedup_key.as_ref()).await? {
                tracing::info!("a call that was handled before arrived again, and is not handled again");
                return Ok(Ran::Before(reply));
            }
            let ran = self.run_guest(warm, kind, handled, ends_timers, deadline).await?;
            Ok(self.begun(ran))
        };
        let Some(outcome) = self.revoked.run_until_cancelled(guest).await else {
            return Err(self.reset_revoked(warm));
        };
        let error = match outcome {
            Ok(Ran::Before(reply)) => return self.answer_again(warm, fired, reply).await,
            Ok(Ran::Now(Outcome::Reply(_), products)) if is_too_late => {
                self.drop_what_a_late_hook_wrote(&products.commit);
                let products = self.scope(warm, None, None, ends_timers).finish();
                return self.commit(warm, products, Bytes::new()).await.map(Answered::now);
            }
            Ok(Ran::Now(Outcome::Reply(reply), products)) => {
                return self.commit_call(warm, dedup_key.as_ref(), *products, reply).await;
            }
            Ok(Ran::Now(outcome, products)) => {
                warm.cache = products.cache;
                self.confirm_direct(warm).await?;
                self.failure(outcome, products.saw_transient_error)
            }
            Err(error) => error,
        };
        if ends_timers {
            self.end_timers(warm).await?;
        }
        Err(error)
    }

    /// Forgets what a guest may have left half done that was stopped, and what another host may change from now on.
    fn reset_revoked(&self, warm: &mut WarmState) -> CallError {
        *warm = WarmState { in_doubt: warm.in_doubt.take(), ..WarmState::default() };
        self.activation.drop_effects();
        given_up()
    }

    /// The agent has run in this activation.
    fn begun(&self, (outcome, products): (Outcome, TurnProducts)) -> Ran {
        self.activation.has_begun.store(true, Ordering::Relaxed);
        Ran::Now(outcome, Box::new(products))
    }

    /// Returns `true` if the end of the activation runs the agent's hook. A hook whose result is discarded is not worth an
    /// instance: after a change of hosts there are many at once. And what the agent has not begun, it does not end: the
    /// effects of a hook lead to a turn of the host, and those that fail to one in which the agent is told. Neither must
    /// lead to the next hook.
    fn ends_with_hook(&self, warm: &WarmState, is_too_late: bool) -> bool {
        self.loaded.version.has_lifecycle()
            && self.activation.has_begun.load(Ordering::Relaxed)
            && (!is_too_late || warm.instance.is_some())
    }

    /// Commits the end of the actor's timers alone: a hook that fails must not keep them alive.
    async fn end_timers(&self, warm: &mut WarmState) -> Result<(), CallError> {
        let products = self.scope(warm, None, None, true).finish();
        self.commit(warm, products, Bytes::new()).await.map(drop)
    }

    /// Logs that a hook came too late, if something of it is discarded.
    fn drop_what_a_late_hook_wrote(&self, commit: &TurnCommit) {
        let TurnCommit { writes, wakeups, effects, .. } = commit;
        if !(writes.is_empty() && wakeups.is_empty() && effects.is_empty()) {
            tracing::info!(
                code = ErrorCode::DeactivationNotKept.as_str(),
                "the backend had given up the actor: nothing of its deactivation is kept ({} writes, {} reminders and timers, {} effects)",
                writes.len(),
                wakeups.len(),
                effects.len()
            );
        }
    }
}

/// The result of a call whose guest was not cut off.
enum Ran {
    /// It was handled before, and this is its reply.
    Before(Bytes),
    Now(Outcome, Box<TurnProducts>),
}

/// The answer to a call.
struct Answered {
    reply: Bytes,
    /// It was handled before, or was for the host: it says nothing of the version.
    is_without_guest: bool,
}

impl Answered {
    fn now(reply: Bytes) -> Answered {
        Answered { reply, is_without_guest: false }
    }
}

fn given_up() -> CallError {
    let reason = "the backend gave up the actor during the turn, and it may be active elsewhere now";
    CallError::Backend(backend::Error::NotApplied(reason.into()))
}

#[cfg(test)]
mod tests;
