//! An instance: a live copy of a component, in which the turns of one actor run.
//!
//! A turn ends in one of three ways: the guest answers, the guest refuses (a failure), or it does not come to an end by
//! itself (a [`Fault`]). After anything but an answer the instance is of no more use: its memory may speak of things that
//! were not kept, and wasmtime lets nobody into an instance whose call trapped or was dropped.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::daca::agent::types::Failure;
use super::bindings::exports::daca::agent as guest;
use super::limits::MemoryLimiter;
use super::running_time::RunningTime;
use super::stalls::Stalls;
use super::{ComponentVersion, Engine, migration};
use crate::backend::WakeupKind;
use crate::imports::{self, LogBudget, TurnScope};
use crate::manifest::AgentLimits;

/// Bytes that one call of an import may make the host allocate for its arguments.
const ARGUMENT_BYTES: usize = 64 * 1024 * 1024;
/// WASI resources (streams, pollables) that an instance may hold.
const MOST_RESOURCES: usize = 1_000;

/// What the host knows of an instance while it runs.
pub struct InstanceState {
    wasi: WasiCtx,
    resources: ResourceTable,
    memory: MemoryLimiter,
    running_time: Arc<RunningTime>,
    log: Arc<LogBudget>,
    /// The turn that runs now. Guests run in turns alone, so that an import always finds one.
    scope: Option<Box<TurnScope>>,
    /// The turn asks for the label alone, which is the same for all actors: it may know nothing of one.
    without_imports: bool,
}

impl InstanceState {
    /// The turn that runs now, for the imports.
    pub(crate) fn turn(&mut self) -> wasmtime::Result<&mut TurnScope> {
        if self.without_imports {
            return Err(wasmtime::Error::msg("an import was called where the label is asked for"));
        }
        self.scope
            .as_deref_mut()
            .ok_or_else(|| wasmtime::Error::msg("an import was called outside of a turn"))
    }

    /// How many lines this turn may still log.
    pub(crate) fn log_budget(&self) -> &LogBudget {
        &self.log
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

/// What a turn calls.
#[derive(Debug, Clone)]
pub enum TurnKind {
    /// A method, with its payload.
    Method {
        /// Its name.
        name: String,
        /// Its payload.
        payload: Bytes,
    },
    /// A reminder or timer that is due, with the data of its registration.
    Wakeup {
        /// Reminder or timer.
        kind: WakeupKind,
        /// Its name.
        name: String,
        /// The data.
        data: Bytes,
    },
    /// The end of the activation.
    Deactivate,
    /// The beginning of an instance and nothing else, to see whether it comes to life. The reply is empty.
    Activate,
    /// The label of the shape in which the version keeps its state, as the reply. The instance is not activated, and no
    /// import answers it: it must be dropped afterwards. [`Failure::NotFound`] for a version without a migration,
    /// [`Failure::Invalid`] for a label that is none.
    Label,
}

/// How a turn ended.
pub enum Outcome {
    /// The guest answered.
    Reply(Bytes),
    /// The guest refused.
    Failure(Failure),
    /// The guest did not come to an end by itself.
    Fault(Fault),
}

/// Why a guest did not come to an end by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It trapped: a panic, most often.
    #[error("the agent's code trapped ({0})")]
    Trap(String),
    /// It ended its own program.
    #[error("the agent's code called exit")]
    Exit,
    /// It ran for longer than its type may.
    #[error("the agent's code ran for longer than {0:?}, the running-time of its type")]
    RunningTime(Duration),
    /// The turn as a whole took longer than it may.
    #[error("the turn took longer than {0:?}, the turn-time of its type")]
    TurnTime(Duration),
    /// It wanted more memory than its type may have.
    #[error("the agent's code wanted more memory than {0}, the limit of its type")]
    Memory(bytesize::ByteSize),
    /// It called itself too often.
    #[error("the agent's code exhausted its stack")]
    Stack,
    /// There is no room for one more instance.
    #[error("the host has no room for an instance now ({0})")]
    NoRoom(String),
    /// The reminder or timer fired, and the component has no export for it.
    #[error("the component has no export that takes a {0}")]
    NoHandler(&'static str),
}

impl Fault {
    /// The stable code, explained in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Trap(_) => "guest-trapped",
            Fault::Exit => "guest-exited",
            Fault::RunningTime(_) => "running-time-exceeded",
            Fault::TurnTime(_) => "turn-time-exceeded",
            Fault::Memory(_) => "memory-exceeded",
            Fault::Stack => "stack-exhausted",
            Fault::NoRoom(_) => "no-room-for-instance",
            Fault::NoHandler(_) => "no-wakeup-handler",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Fault::NoRoom(_) => http::StatusCode::SERVICE_UNAVAILABLE,
            Fault::TurnTime(_) => http::StatusCode::GATEWAY_TIMEOUT,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A live instance of a component version.
pub struct Instance {
    store: Store<InstanceState>,
    version: Arc<ComponentVersion>,
    guest: Option<Guest>,
    stalls: Arc<Stalls>,
    _place: OwnedSemaphorePermit,
}

/// The exports of an instance.
struct Guest {
    actor: guest::actor::Guest,
    lifecycle: Option<guest::lifecycle::Guest>,
    on_reminder: Option<guest::on_reminder::Guest>,
    on_timer: Option<guest::on_timer::Guest>,
    migration: Option<guest::migration::Guest>,
}

impl Instance {
    /// Prepares an instance. The component itself is instantiated and activated in the first turn, within its limits.
    /// `place` is this instance's part of the number of live ones.
    pub fn new(
        engine: &Engine,
        version: &Arc<ComponentVersion>,
        limits: &AgentLimits,
        place: OwnedSemaphorePermit,
    ) -> Instance {
        let log = Arc::new(LogBudget::default());
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MOST_RESOURCES);
        let state = InstanceState {
            wasi: imports::wasi_context(&log),
            resources,
            memory: MemoryLimiter::new(limits.memory.as_u64()),
            running_time: Arc::new(RunningTime::new()),
            log,
            scope: None,
            without_imports: false,
        };
        let mut store = Store::new(&engine.wasmtime, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(ARGUMENT_BYTES);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            if state.running_time.is_over() {
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        Instance {
            store,
            version: version.clone(),
            guest: None,
            stalls: engine.stalls.clone(),
            _place: place,
        }
    }

    /// The version that it is an instance of.
    pub fn version(&self) -> &Arc<ComponentVersion> {
        &self.version
    }

    /// Runs a turn until it ends or `deadline` passes (later by the time for which the host did not run meanwhile), and gives back what the turn produced. After anything but a
    /// [`Outcome::Reply`] the instance must be dropped.
    ///
    /// Dropping the future has the same meaning as a fault: the instance must be dropped with it.
    pub async fn run(
        &mut self,
        scope: Box<TurnScope>,
        kind: TurnKind,
        deadline: Instant,
    ) -> (Outcome, Option<Box<TurnScope>>) {
        let limits = scope.limits().clone();
        let running_time = self.store.data().running_time.clone();
        let stalls = self.stalls.clone();
        running_time.restart(limits.running_time);
        self.store.data().log.restart(limits.log_lines_per_turn);
        self.store.data_mut().scope = Some(scope);
        self.store.data_mut().without_imports = matches!(kind, TurnKind::Label);
        self.store.set_epoch_deadline(1);
        let ended = {
            let call = pin!(self.call(kind));
            let turn = pin!(running_time.measure(call));
            until(deadline, limits.turn_time, &stalls, turn).await
        };
        let outcome = match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Fault(self.fault(&error, &limits)),
            Err(OutOfTime) => Outcome::Fault(Fault::TurnTime(limits.turn_time)),
        };
        self.store.data().log.finish();
        (outcome, self.store.data_mut().scope.take())
    }

    async fn call(&mut self, kind: TurnKind) -> wasmtime::Result<Outcome> {
        if self.guest.is_none() {
            self.guest = Some(self.instantiate().await?);
            if !matches!(kind, TurnKind::Label)
                && let Err(failure) = self.begin().await?
            {
                return Ok(Outcome::Failure(failure));
            }
        }
        let Instance { store, guest: Some(guest), .. } = self else {
            return Err(wasmtime::Error::msg("there is no instance"));
        };
        let result = match kind {
            TurnKind::Method { name, payload } => {
                let reply = guest.actor.call_invoke(store, &name, &payload).await?;
                return Ok(match reply {
                    Ok(reply) => Outcome::Reply(reply.into()),
                    Err(failure) => Outcome::Failure(failure),
                });
            }
            TurnKind::Wakeup { kind: WakeupKind::Reminder, name, data } => match &guest.on_reminder {
                Some(guest) => guest.call_on_reminder(store, &name, &data).await?,
                None => return Ok(Outcome::Fault(Fault::NoHandler("reminder"))),
            },
            TurnKind::Wakeup { kind: WakeupKind::Timer, name, data } => match &guest.on_timer {
                Some(guest) => guest.call_on_timer(store, &name, &data).await?,
                None => return Ok(Outcome::Fault(Fault::NoHandler("timer"))),
            },
            TurnKind::Deactivate => match &guest.lifecycle {
                Some(guest) => guest.call_deactivate(store).await?,
                None => Ok(()),
            },
            TurnKind::Activate => Ok(()),
            TurnKind::Label => return migration::label(store, guest.migration.as_ref()).await,
        };
        Ok(match result {
            Ok(()) => Outcome::Reply(Bytes::new()),
            Err(failure) => Outcome::Failure(failure),
        })
    }

    async fn instantiate(&mut self) -> wasmtime::Result<Guest> {
        let ComponentVersion { pre, indices, .. } = &*self.version;
        let instance = pre.instantiate_async(&mut self.store).await?;
        let store = &mut self.store;
        Ok(Guest {
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
            migration: indices
                .migration
                .as_ref()
                .map(|found| found.load(&mut *store, &instance))
                .transpose()?,
        })
    }

    /// What a new instance does before its first turn: the state takes this version's shape, if it is in another one, and the
    /// guest is activated.
    async fn begin(&mut self) -> wasmtime::Result<Result<(), Failure>> {
        let Instance { store, guest: Some(guest), .. } = self else { return Ok(Ok(())) };
        if let Some(migration) = &guest.migration
            && let Some(from) = store.data_mut().turn()?.migrate_from()
            && let Err(failure) = migration::run(store, migration, &from).await?
        {
            return Ok(Err(failure));
        }
        match &guest.lifecycle {
            Some(lifecycle) => lifecycle.call_activate(store).await,
            None => Ok(Ok(())),
        }
    }

    /// Reads wasmtime's error: the trap's code where there is one, and what the limits have seen.
    fn fault(&self, error: &wasmtime::Error, limits: &AgentLimits) -> Fault {
        if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
            return Fault::NoRoom(format!("{error:#}"));
        }
        if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
            return Fault::Exit;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Fault::RunningTime(limits.running_time),
            Some(Trap::StackOverflow) => Fault::Stack,
            _ if self.store.data().memory.refused() => Fault::Memory(limits.memory),
            Some(trap) => {
                tracing::debug!("{error:?}");
                Fault::Trap(trap.to_string())
            }
            None => Fault::Trap(format!("{error:#}").replace('\n', " ")),
        }
    }
}

/// The deadline has passed.
struct OutOfTime;

/// Runs a turn until its deadline, which is put off by the time for which the whole process did not run: at most by `most`, so that
/// a turn ends even where the process hardly ever runs.
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
