//! The engine. It has one constructor, because code that one engine compiled runs in another only if both have the same
//! configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CodeCache;
use super::compiler::{CompileIn, Compiler};
use super::instance_state::InstanceState;
use super::limits::TABLE_ELEMENTS;
use super::script::{self, ScriptEngine};
use super::settings::{CodeSettings, base_config};
use super::stalls::Stalls;
use crate::imports;
use daca_base::{ErrorCode, Explained, Explanation};

/// The interval at which running guests check their clock, and so the longest time that a busy guest keeps a thread
/// from others.
const TICK: Duration = Duration::from_millis(5);
/// The smallest slot for a memory. Slots only reserve addresses.
const MIN_SLOT: ByteSize = ByteSize::mib(16);
/// The whole address space of a guest. With so many addresses reserved for each memory, a guest's reads and writes need
/// no bounds checks: addresses beyond the memory are not mapped. That saves an eighth of a turn.
const WHOLE_MEMORY: u64 = 4 << 30;
/// The bytes of a memory that are reset by copying when its slot is reused, rather than by a system call that takes a
/// lock of the whole process: with less, two threads create fewer instances than one. Only if the kernel can report
/// which pages were written (`PAGEMAP_SCAN`, Linux 6.7); otherwise all of them are written, and each used slot costs a
/// megabyte.
const KEPT_RESIDENT: usize = 2 * 1024 * 1024;
/// The maximum number of core instances of one component. Python's has about 38 core modules.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;
/// The memories of one instance for which there is room. Rust, Go and Python need one, QuickJS two.
const MEMORIES_PER_INSTANCE: u32 = 2;
/// The addresses that further memories of the same instances may reserve: half of those of a process.
const MAX_RESERVED: u64 = 1 << 46;

/// The options of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Live instances at the same time.
    pub max_live_instances: usize,
    /// The largest memory limit of any agent type.
    pub largest_memory: ByteSize,
    /// The folder for compiled code between runs; without one, every run compiles.
    pub code_cache: Option<PathBuf>,
    /// The folder of code that was compiled ahead of time ([`precompile`](super::precompile)). Only read.
    pub precompiled: Option<PathBuf>,
    /// Where components are compiled.
    pub compile_in: CompileIn,
    /// Compiles for every processor of this kind that Linux distributions still support, with the same result on every
    /// machine; otherwise for the processor at hand.
    pub for_any_processor: bool,
}

/// Compiles components, creates instances, and interrupts long-running guests. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Arc<Linker<InstanceState>>,
    pub(super) compiler: Arc<Compiler>,
    /// The times in which the process did not run.
    pub(super) stalls: Arc<Stalls>,
    /// What evaluates scripts.
    pub(super) scripts: ScriptEngine,
}

/// Why there is no engine: the machine lacks the resources for the pool of instances.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct EngineError(wasmtime::Error);

impl Explained for EngineError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let help = "lower max-live-instances in [host], or allow the process more address space (ulimit -v)";
        Some(Explanation::new(ErrorCode::EngineUnavailable, help))
    }
}

impl EngineOptions {
    /// The settings of the engine. Public for the benchmark, which runs a bare loop in the same kind of engine.
    pub fn config(&self) -> Config {
        self.config_with(WHOLE_MEMORY)
    }

    /// The size of a memory's slot in the pool, in bytes. Slots are reserved, and only used when the guest uses them.
    fn slot(&self) -> u64 {
        self.largest_memory.max(MIN_SLOT).as_u64().next_multiple_of(64 * 1024)
    }

    /// The same with so many bytes of addresses for each memory.
    fn config_with(&self, reservation: u64) -> Config {
        let slot = self.slot();
        let instances = u32::try_from(self.max_live_instances).unwrap_or(u32::MAX);
        let kept_resident =
            if PoolingAllocationConfig::is_pagemap_scan_available() { KEPT_RESIDENT } else { 0 };
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            // It is merely counted, and reserves nothing.
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(8)
            .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
            .total_memories(memories(instances, reservation.max(slot)))
            .total_tables(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT))
            .total_stacks(instances)
            .max_memory_size(usize::try_from(slot).unwrap_or(usize::MAX))
            .table_elements(TABLE_ELEMENTS)
            // The memory of a used slot is already resident, whichever component had it.
            .max_unused_warm_slots(0)
            .linear_memory_keep_resident(kept_resident)
            .table_keep_resident(kept_resident.min(64 * 1024))
            .pagemap_scan(wasmtime::Enabled::Auto);
        let mut config = base_config(reservation.max(slot));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }
}

impl Engine {
    /// Creates an engine, and starts the clock with which it interrupts guests. The clock stops with the engine.
    pub fn new(options: &EngineOptions) -> Result<Engine, EngineError> {
        // Where addresses are scarce (`ulimit -v`, 39-bit kernels), memories only get the addresses that they may use.
        let mut reservation = WHOLE_MEMORY;
        let wasmtime = wasmtime::Engine::new(&options.config_with(reservation))
            .or_else(|error| {
                tracing::warn!(
                    code = ErrorCode::AddressesScarce.as_str(),
                    "guests run a little slower, with checks of their bounds: {error:#}"
                );
                reservation = 0;
                wasmtime::Engine::new(&options.config_with(reservation))
            })
            .map_err(EngineError)?;
        let mut linker = Linker::new(&wasmtime);
        imports::add_to_linker(&mut linker, InstanceState::imports)
            .and_then(|()| script::add_to_linker(&mut linker))
            .map_err(EngineError)?;
        let stalls = Arc::new(Stalls::new(TICK));
        start_ticking(&wasmtime, stalls.clone()).map_err(|error| EngineError(error.into()))?;
        let settings = CodeSettings {
            reservation: reservation.max(options.slot()),
            any_processor: options.for_any_processor,
        };
        let cache = options.code_cache.clone().map(|folder| CodeCache::new(folder, &wasmtime));
        let compiler = Compiler::new(
            wasmtime.clone(),
            settings,
            options.compile_in.clone(),
            cache,
            options.precompiled.clone(),
        );
        let scripts = ScriptEngine::default();
        Ok(Engine { wasmtime, linker: Arc::new(linker), compiler: Arc::new(compiler), stalls, scripts })
    }

    /// Stops all compilations, and starts no new ones: the host shuts down.
    pub fn stop_compiling(&self) {
        self.compiler.stop();
    }

    /// Removes the compiled code of all versions but these. That of the engine of scripts stays.
    pub fn keep_code_of(&self, digests: &BTreeSet<String>) {
        if let Some(cache) = self.compiler.cache() {
            let mut kept = digests.clone();
            kept.insert(script::engine_digest());
            cache.keep_only(&kept);
        }
    }
}

/// The memories of so many instances. Only those in use cost mappings, of which the process has a limited number. Each
/// reserves addresses, so a host of very many instances has one for each.
fn memories(instances: u32, reservation: u64) -> u32 {
    let room = u32::try_from(MAX_RESERVED / reservation.max(1)).unwrap_or(u32::MAX);
    instances.saturating_mul(MEMORIES_PER_INSTANCE).min(room).max(instances).max(8)
}

/// One thread for each engine. It holds the engine weakly, and ends when the last handle is dropped.
fn start_ticking(engine: &wasmtime::Engine, stalls: Arc<Stalls>) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            stalls.tick();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(tick).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_may_have_two_memories_as_long_as_there_are_addresses() {
        let of = |instances| memories(instances, WHOLE_MEMORY);
        assert_eq!([1, 10, 8_192, 10_000, 20_000].map(of), [8, 20, 16_384, 16_384, 20_000]);
        assert_eq!(memories(20_000, MIN_SLOT.as_u64()), 40_000);
    }
}
