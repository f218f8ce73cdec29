//! An instance: a live copy of a component, in which the turns of one actor run.
//!
//! A turn ends in one of three ways: the guest replies, the guest returns a failure, or the guest is aborted (a
//! [`Fault`]). After anything but a reply the instance cannot be used again: its memory may refer to data that was not
//! committed, and wasmtime does not allow another call after one that trapped or was dropped.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use tokio::time::Instant;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::limits::MAX_HANDLES;
use super::stalls::Stalls;
use super::{
    ComponentVersion, Engine, InstanceState, Outcome, failed_effect, kept_reply, last_words, migration,
    script_description,
};
use crate::contract::daca::agent::types::Failure;
use crate::contract::exports::daca::agent as guest;
use crate::imports::{TurnProducts, TurnScope};
use daca_base::memory::MemoryKind;
use daca_base::shares::{SharePermit, SharedPool, Weights};
use daca_manifest::AgentLimits;
use daca_model::backend::WakeupKind;
use daca_model::{Fault, TurnKind};

/// What a call may copy out of a guest whose limits are small: its errors and lines of the log are texts, too.
const MIN_COPIED: u64 = 1024 * 1024;
/// The bytes that a key takes which the host reads from a guest: the longest, and what a list of texts needs for each.
const KEY_BYTES: u64 = 600;

/// The place of an instance in the engine's pools, which ends with it.
#[derive(Debug)]
pub struct InstancePlace {
    /// Among the live instances.
    pub instance: SharePermit,
    /// Among the core instances of all of them.
    pub core: SharePermit,
    /// Among the memories.
    pub memories: SharePermit,
    /// Among those that map their memory, if it does.
    pub mapped: Option<SharePermit>,
}

impl InstancePlace {
    /// A place that is not counted, for instances that run without a host's actors.
    pub fn uncounted() -> InstancePlace {
        let pool = SharedPool::new("instances", 2, &Weights::default());
        let charge = || pool.charge("", 1);
        InstancePlace { instance: charge(), core: charge(), memories: charge(), mapped: None }
    }
}

/// A live instance of a component version.
pub struct Instance {
    engine: Engine,
    version: Arc<ComponentVersion>,
    /// Created with the first turn.
    live: Option<Live>,
    _place: InstancePlace,
}

/// A store, with the instance once it is created.
struct Live {
    store: Store<InstanceState>,
    guest: Option<Guest>,
    /// The time that its activation took, until it is read.
    activated_in: Option<Duration>,
}

/// The exports of an instance.
struct Guest {
    instance: wasmtime::component::Instance,
    actor: guest::actor::Guest,
    lifecycle: Option<guest::lifecycle::Guest>,
    on_reminder: Option<guest::on_reminder::Guest>,
    on_timer: Option<guest::on_timer::Guest>,
    on_effect_failed: Option<guest::on_effect_failed::Guest>,
    migration: Option<guest::migration::Guest>,
}

impl Instance {
    /// Prepares an instance. The component itself is instantiated and activated in the first turn, within its limits.
    /// `place` is its place in the engine's pools.
    pub fn new(engine: &Engine, version: &Arc<ComponentVersion>, place: InstancePlace) -> Instance {
        Instance { engine: engine.clone(), version: version.clone(), live: None, _place: place }
    }

    /// The version of this instance.
    pub fn version(&self) -> &Arc<ComponentVersion> {
        &self.version
    }

    /// The bytes that it has reserved in the host's budget of memory.
    pub fn reserved(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.store.data().memory.reserved())
    }

    /// Returns, once, the time that the activation of this instance took. `None` if it has not succeeded, or is known.
    pub fn take_activation_time(&mut self) -> Option<Duration> {
        self.live.as_mut()?.activated_in.take()
    }

    /// Runs a turn until it ends or `deadline` passes, and returns its products. The deadline is extended by the time
    /// for which the host did not run. After anything but a [`Outcome::Reply`] the instance must be dropped.
    ///
    /// Dropping the future counts as a fault: the instance must be dropped with it.
    pub async fn run(
        &mut self,
        scope: Box<TurnScope>,
        kind: &TurnKind,
        deadline: Instant,
    ) -> (Outcome, TurnProducts) {
        let limits = scope.limits().clone();
        let live = match self.live.take() {
            Some(mut live) => {
                live.store.data_mut().scope = scope;
                live
            }
            None => {
                Live { store: new_store(&self.engine, &self.version, scope), guest: None, activated_in: None }
            }
        };
        let live = self.live.insert(live);
        let running_time = live.store.data().running_time.clone();
        running_time.restart(limits.running_time);
        let state = live.store.data_mut();
        let reserved = state.memory.begin_turn();
        state.scope.reserve_in(reserved);
        live.store.data().log.restart(limits.log_lines_per_turn);
        live.store.set_epoch_deadline(1);
        let ended = {
            let call = pin!(live.call(&self.version, kind));
            let turn = pin!(running_time.measure(call));
            until(deadline, limits.turn_time, &self.engine.stalls, turn).await
        };
        let outcome = match ended {
            Ok(Ok(Outcome::Reply(reply))) => Outcome::Reply(kept_reply::kept(reply, || {
                let agent_type = live.store.data().scope.agent_type();
                self.engine.memory.reservation(MemoryKind::Replies, Some(agent_type))
            })),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Fault(live.fault(&error, &limits)),
            Err(OutOfTime) if live.store.data().memory.is_starved() => Outcome::Fault(Fault::NoMemory),
            Err(OutOfTime) => Outcome::Fault(Fault::TurnTime(limits.turn_time)),
        };
        let state = live.store.data_mut();
        state.memory.end_turn();
        state.log.finish();
        (outcome, state.scope.take_products())
    }
}

/// The bytes that one call may copy out of a guest: three times the largest thing that its type may hand over at once, so
/// that what is somewhat too large is refused by the limit that is for it. What is larger ends the turn.
fn copied_bytes(limits: &AgentLimits) -> usize {
    let sizes = [limits.reply, limits.payload, limits.state_value, limits.state_bytes_per_turn];
    let largest = sizes.iter().map(ByteSize::as_u64).max().unwrap_or(0);
    let keys = KEY_BYTES.saturating_mul(limits.state_keys_per_turn as u64);
    let bytes = largest.saturating_mul(3).max(keys).saturating_add(MIN_COPIED);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn new_store(engine: &Engine, version: &ComponentVersion, scope: Box<TurnScope>) -> Store<InstanceState> {
    let copied = copied_bytes(scope.limits());
    let reserved = engine.memory.reservation(MemoryKind::Instances, Some(scope.agent_type()));
    let state = InstanceState::new(scope, version.script.clone(), version.image_bytes, reserved);
    let mut store = Store::new(version.pre.engine(), state);
    store.limiter_async(|state| &mut state.memory);
    store.set_hostcall_fuel(copied);
    store.set_max_component_handles(MAX_HANDLES);
    store.epoch_deadline_callback(|context| {
        let state = context.data();
        if state.running_time.is_over() {
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

impl Live {
    async fn call(&mut self, version: &ComponentVersion, kind: &TurnKind) -> wasmtime::Result<Outcome> {
        if self.guest.is_none() {
            let makes_resources = version.outline.makes_resources;
            self.store.data_mut().memory.begin_instance(makes_resources).await?;
            let (started, before) = (Instant::now(), self.store.data().running_time.so_far());
            self.guest = Some(self.instantiate(version).await?);
            self.store.data_mut().memory.instance_begun();
            if !matches!(kind, TurnKind::Label | TurnKind::Describe) {
                if let Err(failure) = self.begin().await? {
                    return Ok(Outcome::Failure(failure));
                }
                version.activated_in(self.store.data().running_time.so_far().saturating_sub(before));
                self.activated_in = Some(started.elapsed());
            }
        }
        let Live { store, guest: Some(guest), .. } = self else {
            return Err(wasmtime::Error::msg("there is no instance"));
        };
        guest.call(store, kind).await
    }

    async fn instantiate(&mut self, version: &ComponentVersion) -> wasmtime::Result<Guest> {
        let ComponentVersion { pre, indices, .. } = version;
        let instance = pre.instantiate_async(&mut self.store).await?;
        let store = &mut self.store;
        Ok(Guest {
            instance,
            actor: indices.actor.load(&mut *store, &instance)?,
            lifecycle: indices
                .lifecycle
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
            on_reminder: indices
                .on_reminder
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
            on_timer: indices
                .on_timer
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
            on_effect_failed: indices
                .on_effect_failed
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
            migration: indices
                .migration
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
        })
    }

    /// The start of a new instance before its first turn: the state is migrated to this version's schema, if it has
    /// another one, and the guest is activated.
    async fn begin(&mut self) -> wasmtime::Result<Result<(), Failure>> {
        let Live { store, guest: Some(guest), .. } = self else { return Ok(Ok(())) };
        if let Some(migration) = &guest.migration
            && let Some(from) = store.data_mut().scope().migrate_from()
            && let Err(failure) = migration::run(store, migration, &from).await?
        {
            return Ok(Err(failure));
        }
        match &guest.lifecycle {
            Some(lifecycle) => lifecycle.call_activate(store).await,
            None => Ok(Ok(())),
        }
    }

    /// Interprets wasmtime's error: by the trap's code, if there is one, and by the limits.
    fn fault(&self, error: &wasmtime::Error, limits: &AgentLimits) -> Fault {
        if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
            return Fault::NoRoom(format!("{error:#}"));
        }
        if self.store.data().memory.is_starved() {
            return Fault::NoMemory;
        }
        if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
            return Fault::Exit { last_words: self.last_words() };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Fault::RunningTime(limits.running_time),
            Some(Trap::StackOverflow) => Fault::Stack,
            _ if self.store.data().memory.refused() => Fault::Memory(limits.memory),
            Some(trap) => {
                tracing::debug!("{error:?}");
                Fault::Trap { trap: trap.to_string(), last_words: self.last_words() }
            }
            None => {
                Fault::Trap { trap: format!("{error:#}").replace('\n', " "), last_words: self.last_words() }
            }
        }
    }

    fn last_words(&self) -> String {
        let state = self.store.data();
        last_words::readable(&state.log.last_words(), state.script.is_some())
    }
}

impl Guest {
    async fn call(&self, store: &mut Store<InstanceState>, kind: &TurnKind) -> wasmtime::Result<Outcome> {
        let result = match kind {
            TurnKind::Method { name, payload } => {
                let reply = self.actor.call_invoke(store, name, payload).await?;
                return Ok(match reply {
                    Ok(reply) => Outcome::Reply(reply.into()),
                    Err(failure) => Outcome::Failure(failure),
                });
            }
            TurnKind::Wakeup { kind: WakeupKind::Reminder, name, data } => match &self.on_reminder {
                Some(guest) => guest.call_on_reminder(store, name, data).await?,
                None => return Ok(Outcome::Fault(Fault::NoHandler("reminder"))),
            },
            TurnKind::Wakeup { kind: WakeupKind::Timer, name, data } => match &self.on_timer {
                Some(guest) => guest.call_on_timer(store, name, data).await?,
                None => return Ok(Outcome::Fault(Fault::NoHandler("timer"))),
            },
            TurnKind::EffectFailed(failed) => match &self.on_effect_failed {
                Some(guest) => {
                    let (effect, reason) = failed_effect::arguments((**failed).clone());
                    guest.call_on_effect_failed(store, &effect, &reason).await?
                }
                None => return Ok(Outcome::Fault(Fault::NoHandler("failed effect"))),
            },
            TurnKind::Deactivate => match &self.lifecycle {
                Some(guest) => guest.call_deactivate(store).await?,
                None => Ok(()),
            },
            TurnKind::Activate => Ok(()),
            TurnKind::Describe => return script_description::call_describe(store, &self.instance).await,
            TurnKind::Label => return migration::label(store, self.migration.as_ref()).await,
        };
        Ok(match result {
            Ok(()) => Outcome::Reply(Bytes::new()),
            Err(failure) => Outcome::Failure(failure),
        })
    }
}

/// The deadline has passed.
struct OutOfTime;

/// Runs a turn until its deadline, which is extended by the time for which the whole process did not run, but at most
/// by `most`, so that a turn ends even if the process hardly ever runs.
async fn until<T>(
    deadline: Instant,
    most: Duration,
    stalls: &Stalls,
    mut turn: Pin<&mut impl Future<Output = T>>,
) -> Result<T, OutOfTime> {
    let before = stalls.total();
    let mut put_off = deadline;
    loop {
        if let Ok(ended) = tokio::time::timeout_at(put_off, turn.as_mut()).await {
            return Ok(ended);
        }
        let later = deadline + stalls.total().saturating_sub(before).min(most);
        if later <= put_off {
            return Err(OutOfTime);
        }
        put_off = later;
    }
}
