//! The guest's part of a turn: its instance, its scope, and its products.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use daca_model::backend::{Effect, FiredWakeup};
use daca_model::{CallError, Fault, TurnKind};
use tokio::time::Instant;

use super::{MAX_EVICTIONS, Turn};
use crate::actor::schema::Schema;
use crate::actor::warm_state::WarmState;
use crate::component::{Instance, Outcome};
use crate::imports::{KnownState, ScopeOptions, TurnProducts, TurnScope, TurnUse};

impl Turn<'_> {
    /// Runs the guest in the actor's instance, or in a new one. The actor keeps the instance only after a reply.
    pub(super) async fn run_guest(
        &self,
        warm: &mut WarmState,
        kind: &TurnKind,
        handled: Option<FiredWakeup>,
        ends_timers: bool,
        deadline: Instant,
    ) -> Result<(Outcome, TurnProducts), CallError> {
        drop(warm.instance.take_if(|instance| !self.loaded.is_of(instance)));
        let mut migrate_from = self.migrate_from(warm).await?;
        if migrate_from.is_some() && self.activation.agent.agent.calls.reentrancy.is_some() {
            if let Some(other_end) = self.migrate_apart(warm, migrate_from, deadline).await? {
                return Ok(other_end);
            }
            migrate_from = None;
        }
        self.run_instance(warm, kind, migrate_from, (handled, ends_timers), deadline).await
    }

    /// Migrates in a separate commit. Turns nested in this one would not see its staged changes, would migrate as well,
    /// and be overwritten. Returns the outcome if it is not a success.
    pub(super) async fn migrate_apart(
        &self,
        warm: &mut WarmState,
        migrate_from: Option<Arc<str>>,
        deadline: Instant,
    ) -> Result<Option<(Outcome, TurnProducts)>, CallError> {
        let end = self.run_instance(warm, &TurnKind::Activate, migrate_from, (None, false), deadline).await?;
        match end {
            (Outcome::Reply(reply), mut products) => {
                // The effects of the turn itself are counted from 0, too, and no two have one identity.
                let turn = format!("{}-{}", self.turn_id, Effect::OF_MIGRATION);
                for (number, effect) in products.commit.effects.iter_mut().enumerate() {
                    effect.id = Effect::id_of(&turn, number);
                }
                self.commit(warm, products, reply).await?;
                Ok(None)
            }
            end => Ok(Some(end)),
        }
    }

    /// Runs the guest, and evicts other instances if there is no capacity for its own.
    pub(super) async fn run_instance(
        &self,
        warm: &mut WarmState,
        kind: &TurnKind,
        migrate_from: Option<Arc<str>>,
        (handled, ends_timers): (Option<FiredWakeup>, bool),
        deadline: Instant,
    ) -> Result<(Outcome, TurnProducts), CallError> {
        let mut evictions = 0;
        loop {
            let mut instance = match warm.instance.take() {
                Some(instance) => {
                    if self.loaded.version.is_cheap() {
                        self.services.live.idle.kept.has_found();
                    }
                    instance
                }
                None => self.make_instance(deadline).await?,
            };
            let scope = Box::new(self.scope(warm, migrate_from.clone(), handled.clone(), ends_timers));
            let (outcome, products) = instance.run(scope, kind, deadline).await;
            if let Some(took) = instance.take_activation_time() {
                self.activation.agent.durations.activation.observe(took);
            }
            if matches!(outcome, Outcome::Reply(_)) {
                warm.instance = Some(instance);
            } else {
                drop(instance);
            }
            if matches!(outcome, Outcome::Fault(Fault::NoRoom(_)))
                && evictions < MAX_EVICTIONS
                && self.services.live.evict_for(&self.activation.address.agent_type)
            {
                evictions += 1;
                warm.cache = products.cache;
                continue;
            }
            return Ok((outcome, products));
        }
    }

    /// The label from which the guest must migrate the actor's state before anything else; `None` if it need not.
    pub(super) async fn migrate_from(&self, warm: &mut WarmState) -> Result<Option<Arc<str>>, CallError> {
        let Some(first_label) = &self.split.first_label else { return Ok(None) };
        let actor = &self.activation.address;
        // Nested turns may have changed it.
        let nested_commits = self.activation.nested.commits.load(Ordering::Acquire);
        drop(warm.schema.take_if(|schema| schema.nested_commits != nested_commits));
        let schema = match &warm.schema {
            Some(schema) => schema,
            None => {
                let read = Schema::read(&*self.services.backend, actor, first_label, nested_commits).await;
                warm.schema.insert(read.map_err(CallError::Backend)?)
            }
        };
        schema.migrate_from(actor, &self.loaded)
    }

    pub(super) async fn make_instance(&self, deadline: Instant) -> Result<Box<Instance>, CallError> {
        let agent = &self.activation.agent;
        let (actor, live) = (&self.activation.address, &self.services.live);
        let no_room = || CallError::Fault {
            actor: actor.clone(),
            fault: Fault::NoRoom("all instances are in a turn".into()),
        };
        let place = live.place(&actor.agent_type, &self.loaded.version);
        let place = tokio::time::timeout_at(deadline, place).await.map_err(|_elapsed| {
            live.held_back(&actor.agent_type).map_or_else(no_room, CallError::ShareExceeded)
        })?;
        agent.instances_made.fetch_add(1, Ordering::Relaxed);
        if self.loaded.version.is_cheap() {
            live.idle.kept.has_missed(self.activation.evicted.load(Ordering::Relaxed));
        }
        Ok(Box::new(Instance::new(&self.services.engine, &self.loaded.version, place)))
    }

    pub(super) fn scope(
        &self,
        warm: &mut WarmState,
        migrate_from: Option<Arc<str>>,
        handled: Option<FiredWakeup>,
        ends_timers: bool,
    ) -> TurnScope {
        let options = ScopeOptions {
            actor: self.activation.address.clone(),
            agent: self.activation.agent.agent.clone(),
            handlers: self.loaded.version.wakeup_handlers(),
            migrate_from,
            backend: self.services.backend.clone(),
            calls: self.services.calls.clone(),
            turn_id: self.turn_id.clone(),
            context: self.context.clone(),
            known: KnownState {
                cache: std::mem::take(&mut warm.cache),
                nested_commits: self.activation.nested.commits.clone(),
            },
            counted: TurnUse {
                log_rate: Some(self.services.log_rate.clone()),
                actor: self.activation.used.clone(),
            },
        };
        TurnScope::new(options, handled, ends_timers)
    }
}
