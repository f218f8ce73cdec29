//! One turn: an instance is taken or created, the guest runs, and its result commits as a whole or not at all.
//!
//! Only [`commit`] makes a turn durable, for every backend; it gets everything that the turn produced. Effects leave
//! afterwards, so no event ever speaks of a state that was not saved.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::activation::{Activation, Resident, Work};
use super::handled::{Handled, Repeatable};
use super::recent_calls::CallKey;
use super::shape::Shape;
use super::table::{Shared, wakeup_noun};
use super::unconfirmed::Unconfirmed;
use super::{CallContext, CallError};
use crate::component::{Instance, Outcome, Rollout, Served, TurnEnd};
use crate::contract::daca::agent::types::Failure;
use crate::imports::{ScopeOptions, TurnProducts, TurnScope};
use daca_base::telemetry::{printable, shortened};
use daca_model::backend::{self, FiredWakeup, TurnCommit};
use daca_model::{Fault, TurnKind};

/// The number of idle instances that are evicted to make room for one, before the call is answered 503.
pub(super) const EVICTIONS: usize = 16;

/// Runs a turn of an actor. Its log lines have the actor, the turn and the version.
pub(super) async fn run(
    shared: &Arc<Shared>,
    activation: &Activation,
    resident: &mut Resident,
    work: Work,
    context: CallContext,
) -> Result<Bytes, CallError> {
    let turn_id: Arc<str> = super::next_turn_id().into();
    let rollout = match work {
        Work::Deactivate(_) => activation.agent.serving.now(),
        _ => activation.agent.serving.known().await.map_err(|error| {
            CallError::Backend(backend::Error::NotDone(format!(
                "{error}: the hosts' shared state cannot be read"
            )))
        })?,
    };
    let served = activation.served(&rollout);
    let span = tracing::info_span!(
        "turn",
        agent_type = %activation.address.agent_type,
        // As strings, which the text log quotes: an id may look like the rest of a line.
        actor_id = &*activation.address.id,
        turn = %turn_id,
        component = served.version.short_digest(),
    );
    let cut_off = match work {
        Work::Deactivate(_) => CancellationToken::new(),
        _ => activation.cut_off(),
    };
    let endings = activation.endings();
    let turn = Turn { shared, activation, rollout, served, context, turn_id, cut_off, endings };
    // Pinned here, because a wrapper would move the future.
    let running = pin!(async {
        let started = Instant::now();
        let name = work_name(&work);
        let era = shared.backend.era();
        if resident.era != era {
            let unconfirmed = resident.unconfirmed.take();
            *resident = Resident { era, unconfirmed, ..Resident::default() };
        }
        let settled = match turn.check_direct() {
            Ok(()) => turn.settle_unconfirmed(resident).await,
            Err(given_up) => return Err(given_up),
        };
        let result = match settled {
            Err(error) if !matches!(work, Work::Deactivate(_)) => Err(CallError::Backend(error)),
            Err(error) => {
                tracing::warn!(
                    code = "outcome-unknown",
                    "whether the previous turn was kept cannot be determined; if it was, its effects are lost: {error}"
                );
                turn.run(resident, work).await
            }
            Ok(()) => turn.run(resident, work).await,
        };
        resident.cache.trim();
        turn.note(&name, started, &result);
        result.map(|answered| answered.reply)
    });
    running.instrument(span).await
}

struct Turn<'a> {
    shared: &'a Arc<Shared>,
    activation: &'a Activation,
    rollout: Arc<Rollout>,
    /// The version of the turn. Also at the end of an activation: the hook of an older instance could write state in an
    /// outdated schema.
    served: Arc<Served>,
    context: CallContext,
    turn_id: Arc<str>,
    /// Cancelled when the sidecar gives up the actor during the turn.
    cut_off: CancellationToken,
    /// The lease generation at the beginning of the turn.
    endings: u64,
}

impl Turn<'_> {
    /// Rejects a direct turn, of which the sidecar does not know, if the actor may be active elsewhere. Called at its
    /// beginning, and again before anybody learns of its result.
    fn check_direct(&self) -> Result<(), CallError> {
        if self.context.is_direct && !self.activation.lives_here(&*self.shared.backend) {
            return Err(given_up());
        }
        Ok(())
    }

    /// The same check before anybody learns of a turn that commits nothing, confirmed by the sidecar.
    async fn confirm_direct(&self, resident: &mut Resident) -> Result<(), CallError> {
        if !self.context.is_direct {
            return Ok(());
        }
        let confirmed = match self.check_direct() {
            Ok(()) => {
                let confirmed = self.shared.backend.confirm_ownership(&self.activation.address).await;
                confirmed.map_err(CallError::Backend)
            }
            given_up => given_up,
        };
        if confirmed.is_err() {
            *resident = Resident::default();
        }
        confirmed
    }

    /// Resolves the previous turn's commit if it is in doubt. If that is impossible now, the next turn tries again.
    async fn settle_unconfirmed(&self, resident: &mut Resident) -> Result<(), backend::Error> {
        let actor = &self.activation.address;
        let Some(unconfirmed) = &resident.unconfirmed else { return Ok(()) };
        let was_kept = unconfirmed.was_kept(&*self.shared.backend, actor).await?;
        let Some(unconfirmed) = resident.unconfirmed.take() else { return Ok(()) };
        if !was_kept {
            tracing::info!("the state shows that turn {} was not kept", unconfirmed.turn_id);
            return Ok(());
        }
        tracing::info!("the state shows that turn {} was kept; its answer was lost", unconfirmed.turn_id);
        let turn_id = unconfirmed.turn_id.clone();
        self.shared.deliveries.enqueue(actor, &turn_id, unconfirmed.effects());
        Ok(())
    }

    async fn run(&self, resident: &mut Resident, work: Work) -> Result<Answered, CallError> {
        let (kind, handled, end) = match work {
            Work::Call(kind) => (kind, None, None),
            Work::Wake(kind, fired) => (kind, Some(fired), None),
            Work::Deactivate(end) => (TurnKind::Deactivate, None, Some(end)),
        };
        let ends_timers = end.is_some_and(|end| end.ends_timers);
        // A hook whose result is discarded is not worth an instance: after a change of hosts there are many at once.
        let is_too_late = end.is_some_and(|end| !end.commits);
        let has_hook = self.served.version.has_lifecycle() && (!is_too_late || resident.instance.is_some());
        if end.is_some() && !has_hook {
            let products = self.scope(resident, None, handled, ends_timers).finish();
            return self.commit(resident, products, Bytes::new()).await.map(Answered::now);
        }
        let deadline = Instant::now() + self.activation.agent.agent.limits.turn_time;
        let repeatable = self.context.identity.clone().map(|identity| Repeatable::new(identity, &kind));
        // The commit is not cut off: its outcome must be known. Until the actor is given up here, its sidecar lets
        // nobody read or write state (`pkg/actors/internal/placement`), so the guest would wait for something that
        // waits for its end.
        let guest = async {
            if let Some(reply) = self.answer_of_before(resident, repeatable.as_ref()).await? {
                tracing::info!("a call that was handled before arrived again, and is not handled again");
                return Ok(Ran::Before(reply));
            }
            let (outcome, products) = self.run_guest(resident, kind, handled, ends_timers, deadline).await?;
            Ok(Ran::Now(outcome, Box::new(products)))
        };
        let Some(outcome) = self.cut_off.run_until_cancelled(guest).await else {
            *resident = Resident { unconfirmed: resident.unconfirmed.take(), ..Resident::default() };
            return Err(given_up());
        };
        let error = match outcome {
            Ok(Ran::Before(reply)) => {
                self.confirm_direct(resident).await?;
                return Ok(Answered { reply, was_handled_before: true });
            }
            Ok(Ran::Now(Outcome::Reply(_), products)) if is_too_late => {
                self.drop_what_a_late_hook_wrote(&products.commit);
                let products = self.scope(resident, None, None, ends_timers).finish();
                return self.commit(resident, products, Bytes::new()).await.map(Answered::now);
            }
            Ok(Ran::Now(Outcome::Reply(reply), mut products)) => {
                let handled = self.note_handled(resident, repeatable.as_ref(), &reply, &mut products.commit);
                let reply = self.commit(resident, *products, reply).await?;
                resident.handled = handled;
                return Ok(Answered::now(reply));
            }
            Ok(Ran::Now(outcome, products)) => {
                resident.cache = products.cache;
                self.confirm_direct(resident).await?;
                self.failure(outcome, products.met_unavailable)
            }
            Err(error) => error,
        };
        if ends_timers {
            // A hook that fails must not keep its actor's timers alive.
            let products = self.scope(resident, None, None, true).finish();
            self.commit(resident, products, Bytes::new()).await?;
        }
        Err(error)
    }

    /// Logs that a hook came too late, if something of it is discarded.
    fn drop_what_a_late_hook_wrote(&self, commit: &TurnCommit) {
        let TurnCommit { writes, wakeups, effects, .. } = commit;
        if !(writes.is_empty() && wakeups.is_empty() && effects.is_empty()) {
            tracing::info!(
                code = "deactivation-not-kept",
                "the Dapr sidecar had given up the actor: nothing of its deactivation is kept ({} writes, {} reminders and timers, {} effects)",
                writes.len(),
                wakeups.len(),
                effects.len()
            );
        }
    }

    /// The answer to a call that the actor has handled before.
    async fn answer_of_before(
        &self,
        resident: &mut Resident,
        call: Option<&Repeatable>,
    ) -> Result<Option<Bytes>, CallError> {
        let Some(call) = call else { return Ok(None) };
        let actor = &self.activation.address;
        let known = resident.handled.take();
        let knew_attempts = known.as_ref().is_some_and(|known| known.attempts().is_some());
        let handled = Handled::read(known, &*self.shared.backend, actor, call).await;
        let handled = resident.handled.insert(handled.map_err(CallError::Backend)?);
        if let Some(attempts) = handled.attempts().filter(|_| !knew_attempts) {
            // The state has space for a few, which the calls of this host displace before the last repetition has
            // arrived.
            for (hash, reply) in attempts.iter() {
                let result = reply.cloned().ok_or_else(|| CallError::ReplyLost(actor.clone()));
                self.shared.recent_calls.keep(CallKey::of_hash(actor, hash), result);
            }
        }
        handled.answer(actor, call)
    }

    /// Records a call that may be repeated as handled, in the turn's own commit.
    fn note_handled(
        &self,
        resident: &mut Resident,
        call: Option<&Repeatable>,
        reply: &Bytes,
        commit: &mut TurnCommit,
    ) -> Option<Handled> {
        let handled = resident.handled.take()?;
        Some(match call {
            Some(call) => handled.after(call, reply, commit),
            None => handled,
        })
    }

    /// The error for the caller of a turn without a reply. A failure because something was unavailable may succeed
    /// later, and does not count against the agent.
    fn failure(&self, outcome: Outcome, met_unavailable: bool) -> CallError {
        match outcome {
            Outcome::Failure(Failure::Failed(text)) if met_unavailable => {
                CallError::NeededUnavailable(shortened(&text).to_owned())
            }
            Outcome::Failure(failure) => into_call_error(failure),
            Outcome::Fault(fault @ Fault::TurnTime(_)) if met_unavailable => {
                CallError::NeededUnavailable(fault.to_string())
            }
            Outcome::Fault(fault) => CallError::Fault { actor: self.activation.address.clone(), fault },
            Outcome::Reply(_) => CallError::Internal,
        }
    }

    /// Runs the guest in the actor's instance, or in a new one. The actor keeps the instance only after a reply.
    async fn run_guest(
        &self,
        resident: &mut Resident,
        kind: TurnKind,
        handled: Option<FiredWakeup>,
        ends_timers: bool,
        deadline: Instant,
    ) -> Result<(Outcome, TurnProducts), CallError> {
        drop(resident.instance.take_if(|instance| !self.served.is_of(instance)));
        let mut migrate_from = self.migrate_from(resident).await?;
        if migrate_from.is_some() && self.activation.agent.agent.reentrancy.is_some() {
            if let Some(other_end) = self.migrate_apart(resident, migrate_from, deadline).await? {
                return Ok(other_end);
            }
            migrate_from = None;
        }
        self.run_instance(resident, kind, migrate_from, (handled, ends_timers), deadline).await
    }

    /// Migrates in a separate commit. Turns nested in this one would not see its staged changes, would migrate as well,
    /// and be overwritten. Returns the outcome if it is not a success.
    async fn migrate_apart(
        &self,
        resident: &mut Resident,
        migrate_from: Option<Arc<str>>,
        deadline: Instant,
    ) -> Result<Option<(Outcome, TurnProducts)>, CallError> {
        let end =
            self.run_instance(resident, TurnKind::Activate, migrate_from, (None, false), deadline).await?;
        match end {
            (Outcome::Reply(reply), products) => {
                self.commit(resident, products, reply).await?;
                Ok(None)
            }
            end => Ok(Some(end)),
        }
    }

    /// Runs the guest, and evicts other instances if there is no capacity for its own.
    async fn run_instance(
        &self,
        resident: &mut Resident,
        kind: TurnKind,
        migrate_from: Option<Arc<str>>,
        (handled, ends_timers): (Option<FiredWakeup>, bool),
        deadline: Instant,
    ) -> Result<(Outcome, TurnProducts), CallError> {
        let mut evictions = 0;
        loop {
            let mut instance = match resident.instance.take() {
                Some(instance) => instance,
                None => self.make_instance(deadline).await?,
            };
            let scope = Box::new(self.scope(resident, migrate_from.clone(), handled.clone(), ends_timers));
            let (outcome, products) = instance.run(scope, kind.clone(), deadline).await;
            if matches!(outcome, Outcome::Reply(_)) {
                resident.instance = Some(instance);
            } else {
                drop(instance);
            }
            if matches!(outcome, Outcome::Fault(Fault::NoRoom(_)))
                && evictions < EVICTIONS
                && self.shared.live.evict_one()
            {
                evictions += 1;
                resident.cache = products.cache;
                continue;
            }
            return Ok((outcome, products));
        }
    }

    /// The label from which the guest must migrate the actor's state before anything else; `None` if it need not.
    async fn migrate_from(&self, resident: &mut Resident) -> Result<Option<Arc<str>>, CallError> {
        let Some(first_label) = &self.rollout.first_label else { return Ok(None) };
        let actor = &self.activation.address;
        // Nested turns may have changed it.
        let nested_commits = self.activation.nested_commits.load(Ordering::Acquire);
        drop(resident.shape.take_if(|shape| shape.nested_commits != nested_commits));
        let shape = match &resident.shape {
            Some(shape) => shape,
            None => {
                let read = Shape::read(&*self.shared.backend, actor, first_label, nested_commits).await;
                resident.shape.insert(read.map_err(CallError::Backend)?)
            }
        };
        shape.migrate_from(actor, &self.served)
    }

    async fn make_instance(&self, deadline: Instant) -> Result<Instance, CallError> {
        let agent = &self.activation.agent;
        let no_room = || CallError::Fault {
            actor: self.activation.address.clone(),
            fault: Fault::NoRoom("all instances are in a turn".into()),
        };
        let place = tokio::time::timeout_at(deadline, self.shared.live.place()).await;
        let place = place.ok().flatten().ok_or_else(no_room)?;
        agent.instances_made.fetch_add(1, Ordering::Relaxed);
        Ok(Instance::new(&self.shared.engine, &self.served.version, place))
    }

    fn scope(
        &self,
        resident: &mut Resident,
        migrate_from: Option<Arc<str>>,
        handled: Option<FiredWakeup>,
        ends_timers: bool,
    ) -> TurnScope {
        let options = ScopeOptions {
            actor: self.activation.address.clone(),
            agent: self.activation.agent.agent.clone(),
            handlers: self.served.version.wakeup_handlers(),
            migrate_from,
            backend: self.shared.backend.clone(),
            turn_id: self.turn_id.clone(),
            context: self.context.clone(),
            cache: std::mem::take(&mut resident.cache),
            nested_commits: self.activation.nested_commits.clone(),
        };
        TurnScope::new(options, handled, ends_timers)
    }

    /// Makes a turn durable: state, reminders and timers in one transaction. Then it sends its effects.
    async fn commit(
        &self,
        resident: &mut Resident,
        products: TurnProducts,
        reply: Bytes,
    ) -> Result<Bytes, CallError> {
        let TurnProducts { mut cache, mut commit, .. } = products;
        let actor = &self.activation.address;
        let limit = self.activation.agent.agent.limits.reply.as_u64();
        if reply.len() as u64 > limit {
            resident.instance = None;
            resident.cache = cache;
            return Err(CallError::ReplyTooLarge { actor: actor.clone(), bytes: reply.len(), limit });
        }
        if self.shared.backend.era() != resident.era || self.cut_off.is_cancelled() {
            *resident = Resident::default();
            return Err(given_up());
        }
        // A commit is rejected for an actor that is active elsewhere. A read-only turn has to ask.
        if commit.writes.is_empty() {
            self.confirm_direct(resident).await?;
        } else if let Err(given_up) = self.check_direct() {
            *resident = Resident::default();
            return Err(given_up);
        }
        let shape =
            resident.shape.as_ref().map(|shape| shape.after(&self.rollout, &self.served, &mut commit));
        let now = daca_base::clock::now();
        if !commit.is_empty()
            && let Err(error) = self.shared.backend.commit(actor, &commit).await
        {
            // The outcome is in doubt, so neither the instance nor the cache may be trusted.
            let unconfirmed = matches!(error, backend::Error::Unavailable(_))
                .then(|| {
                    let identity = self.context.identity.clone();
                    Unconfirmed::new(&self.turn_id, identity, commit, &self.shared.deliveries)
                })
                .flatten();
            *resident = Resident { unconfirmed, ..Resident::default() };
            return Err(CallError::Backend(error));
        }
        if !commit.writes.is_empty() {
            self.activation.note_written(resident.era, self.endings);
        }
        cache.apply(std::mem::take(&mut commit.writes), now);
        resident.cache = cache;
        resident.shape = shape;
        self.shared.deliveries.enqueue(actor, &self.turn_id, commit.effects);
        Ok(reply)
    }

    /// Counts the turn, and logs its failure.
    fn note(&self, name: &str, started: Instant, result: &Result<Answered, CallError>) {
        if let Some(end) = turn_end(result) {
            self.served.counters.count(end);
            self.activation.agent.counters.count(end);
        }
        let milliseconds = started.elapsed().as_millis();
        let Err(error) = result else {
            tracing::debug!("{name} took {milliseconds} ms");
            return;
        };
        let text = error.to_string();
        let text = printable(&text);
        match error {
            CallError::Invalid(_)
            | CallError::NotFound(_)
            | CallError::KeyReused { .. }
            | CallError::ReplyForgotten { .. }
            | CallError::ReplyLost(_) => {
                tracing::info!(code = error.code(), "{name} refused: {text}")
            }
            _ => tracing::error!(code = error.code(), "{name} failed after {milliseconds} ms: {text}"),
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
    /// No guest ran for it.
    was_handled_before: bool,
}

impl Answered {
    fn now(reply: Bytes) -> Answered {
        Answered { reply, was_handled_before: false }
    }
}

/// The result of a turn for its version's statistics. Failures that are not the agent's fault do not count, nor do
/// turns in which the version did not run.
fn turn_end(result: &Result<Answered, CallError>) -> Option<TurnEnd> {
    match result {
        Ok(answered) if answered.was_handled_before => None,
        Err(CallError::KeyReused { .. } | CallError::ReplyForgotten { .. } | CallError::ReplyLost(_)) => None,
        Err(CallError::Fault { fault: Fault::NoRoom(_), .. }) => Some(TurnEnd::Well),
        Err(CallError::Fault { .. }) => Some(TurnEnd::Fault),
        Err(CallError::Failed(_) | CallError::ReplyTooLarge { .. }) => Some(TurnEnd::Failed),
        _ => Some(TurnEnd::Well),
    }
}

fn work_name(work: &Work) -> String {
    match work {
        Work::Call(TurnKind::Method { name, .. }) => printable(name).into_owned(),
        Work::Wake(_, FiredWakeup { key, .. }) => {
            format!("{} {}", wakeup_noun(key.kind), printable(&key.name))
        }
        _ => "deactivate".to_owned(),
    }
}

fn given_up() -> CallError {
    let reason = "the Dapr sidecar gave up the actor during the turn, and it may be active elsewhere now";
    CallError::Backend(backend::Error::NotDone(reason.into()))
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
