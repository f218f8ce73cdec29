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
use super::mappings::{map_count_limit, most_memories};
use super::script_engine::{self, ScriptEngine};
use super::settings::{CodeSettings, base_config};
use super::stalls::Stalls;
use crate::imports;
use daca_base::memory::MemoryBudget;
use daca_base::{ErrorCode, Explained, Explanation, task};

/// The interval at which running guests check their clock, and so the longest time that a busy guest keeps a thread
/// from others.
const TICK: Duration = Duration::from_millis(5);
/// The smallest slot for a memory. Slots only reserve addresses.
const MIN_SLOT: ByteSize = ByteSize::mib(16);
/// The whole address space of a guest. With so many addresses reserved for each memory, a guest's reads and writes need
/// no bounds checks: addresses beyond the memory are not mapped. That saves an eighth of a turn.
const WHOLE_MEMORY: u64 = 4 << 30;
/// The written bytes of a memory that are reset by copying when its slot is reused, rather than by a system call that
/// takes a lock of the whole process: with less than a guest writes, two threads create fewer instances than one. They
/// stay in memory when the instance is gone, for ever. So it is several times what a small Rust guest writes, and no
/// more: what is above goes back to the system. Only if the kernel can report which pages were written (`PAGEMAP_SCAN`,
/// Linux 6.7); otherwise all of them are written, and each used slot would cost all of this.
const KEPT_RESIDENT: usize = 256 * 1024;
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

/// The core instances that so many instances may have together.
pub(crate) fn most_core_instances(live_instances: usize) -> usize {
    live_instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT as usize)
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
    /// What instances and code count against.
    pub(super) memory: MemoryBudget,
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
        let core_instances = most_core_instances(self.max_live_instances);
        let core_instances = u32::try_from(core_instances).unwrap_or(u32::MAX);
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            .total_core_instances(core_instances)
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(8)
            .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
            .total_memories(memories(instances, reservation.max(slot), map_count_limit()))
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
            .and_then(|()| imports::add_lists_to_linker(&mut linker, InstanceState::imports))
            .and_then(|()| script_engine::add_to_linker(&mut linker))
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
        Ok(Engine {
            wasmtime,
            linker: Arc::new(linker),
            compiler: Arc::new(compiler),
            stalls,
            scripts: ScriptEngine::default(),
            memory: MemoryBudget::unlimited(),
        })
    }

    /// The same engine with a budget of memory. Without one, nothing is refused.
    pub fn within(self, memory: MemoryBudget) -> Engine {
        Engine { memory, ..self }
    }

    /// The budget of memory.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// The bytes that the pool keeps of instances that are gone.
    pub fn warm_bytes(&self) -> u64 {
        let Some(pool) = self.wasmtime.pooling_allocator_metrics() else { return 0 };
        let bytes = pool.unused_memory_bytes_resident().saturating_add(pool.unused_table_bytes_resident());
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Makes all guests that run give way now, rather than at the next tick.
    pub(crate) fn interrupt_guests(&self) {
        self.wasmtime.increment_epoch();
    }

    /// Stops all compilations, and starts no new ones: the host shuts down.
    pub fn stop_compiling(&self) {
        self.compiler.stop();
    }

    /// Removes the compiled code of all versions but these. That of the engine of scripts stays.
    pub fn keep_code_of(&self, digests: &BTreeSet<String>) {
        if let Some(cache) = self.compiler.cache() {
            let mut kept = digests.clone();
            kept.insert(script_engine::engine_digest().to_owned());
            cache.keep_only(&kept);
        }
    }
}

/// The memories of so many instances. Each reserves addresses, and those in use cost mappings. Of both the process has a
/// limited number, so a host of very many instances has one memory for each.
fn memories(instances: u32, reservation: u64, map_count_limit: usize) -> u32 {
    let addresses = u32::try_from(MAX_RESERVED / reservation.max(1)).unwrap_or(u32::MAX);
    let stacks = usize::try_from(instances).unwrap_or(usize::MAX);
    let mappings = u32::try_from(most_memories(stacks, map_count_limit)).unwrap_or(u32::MAX);
    instances.saturating_mul(MEMORIES_PER_INSTANCE).min(addresses).min(mappings).max(instances).max(8)
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
    let lasting = move || task::lasting_thread("ticks of guests", &tick);
    std::thread::Builder::new().name("epoch".into()).spawn(lasting).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_may_have_two_memories_as_long_as_there_are_addresses_and_mappings() {
        const MANY: usize = 1_000_000;
        let of = |instances| memories(instances, WHOLE_MEMORY, MANY);
        assert_eq!([1, 10, 8_192, 10_000, 20_000].map(of), [8, 20, 16_384, 16_384, 20_000]);
        assert_eq!(memories(20_000, MIN_SLOT.as_u64(), MANY), 40_000);
        // The kernel's default: two mappings for each stack, and two for each memory.
        let of = |instances| memories(instances, MIN_SLOT.as_u64(), 65_530);
        assert_eq!([8_192, 12_000, 15_358].map(of), [16_384, 18_717, 15_359]);
    }
}
