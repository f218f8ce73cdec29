//! The data of an instance's store: what the host has beside a guest, for its imports and its limits.

use std::sync::Arc;

use daca_base::memory::Reservation;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::MemoryLimiter;
use super::running_time::RunningTime;
use super::script_source::Script;
use crate::imports::{self, Imports, LogBudget, TurnScope};

/// The maximum number of WASI resources (streams, pollables) of an instance.
const MAX_RESOURCES: usize = 1_000;

/// The data of an instance's store.
pub struct InstanceState {
    wasi: WasiCtx,
    resources: ResourceTable,
    pub(super) memory: MemoryLimiter,
    pub(super) running_time: Arc<RunningTime>,
    pub(super) log: Arc<LogBudget>,
    /// The script that the engine asks for, in an instance of the engine.
    pub(super) script: Option<Arc<Script>>,
    /// The running turn, or the last one: guests run only in turns.
    pub(super) scope: Box<TurnScope>,
}

impl InstanceState {
    /// `image` has the bytes of its memory that are mapped, and `reserved` is its part of the host's budget of memory.
    pub(super) fn new(
        scope: Box<TurnScope>,
        script: Option<Arc<Script>>,
        image: u64,
        reserved: Reservation,
    ) -> InstanceState {
        let log = Arc::new(LogBudget::new(scope.log_share()));
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAX_RESOURCES);
        InstanceState {
            wasi: imports::wasi_context(&log, scope.clock()),
            resources,
            memory: MemoryLimiter::new(scope.limits().memory.as_u64(), image, reserved, scope.used().clone()),
            running_time: Arc::new(RunningTime::new()),
            log,
            script,
            scope,
        }
    }

    /// The context of an import's call.
    pub(super) fn imports(&mut self) -> Imports<'_> {
        Imports { scope: &mut self.scope, log: &self.log }
    }

    /// The running turn.
    pub(super) fn scope(&mut self) -> &mut TurnScope {
        &mut self.scope
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}
