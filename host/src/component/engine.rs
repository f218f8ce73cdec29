//! The engine: one constructor, because code that one engine compiled runs in another only when both are configured alike.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CodeCache;
use super::instance::InstanceState;
use super::limits::TABLE_ELEMENTS;
use crate::imports;

/// How often running guests look at their clock. Also how long a busy guest keeps a thread before others get it.
const TICK: Duration = Duration::from_millis(5);
/// The smallest slot for a memory. Slots only reserve addresses.
const SMALLEST_SLOT: ByteSize = ByteSize::mib(16);
/// All that a guest can address. With so many addresses reserved for each memory, a guest's reads and writes need no check of
/// their bounds: what lies beyond them is not mapped. That is an eighth of a turn.
const WHOLE_MEMORY: u64 = 4 << 30;
/// Bytes of a memory that are reset by hand when its slot is used again, rather than by a system call that takes a lock of the
/// whole process: with less, two threads make fewer instances than one. Only where the kernel can tell which pages were
/// written (`PAGEMAP_SCAN`, Linux 6.7): otherwise all of them are written, and each used slot costs a megabyte.
const KEPT_RESIDENT: usize = 2 * 1024 * 1024;
/// Parts of one component. Python's has about 38 core modules.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;

/// The instructions of x86-64-v2, which processors have since 2009 (Cranelift's names, `cranelift-codegen/meta/src/isa/x86.rs`).
const X86_64_V2: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];

/// What an engine is made for.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Live instances at the same time.
    pub max_live_instances: usize,
    /// The largest memory limit of any agent type.
    pub largest_memory: ByteSize,
    /// Where compiled code is kept between runs; none compiles each time.
    pub code_cache: Option<PathBuf>,
    /// Where code lies that was compiled ahead of time ([`precompile`](super::precompile)). Only read.
    pub precompiled: Option<PathBuf>,
}

/// Compiles components, makes instances, and interrupts guests that run for long. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Arc<Linker<InstanceState>>,
    pub(super) cache: Option<Arc<CodeCache>>,
    pub(super) precompiled: Option<PathBuf>,
    /// Threads that compile.
    pub(super) compiling: Arc<CompilingThreads>,
}

/// Why there is no engine: the machine refused what the pool of instances needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "error[engine-unavailable]: {0:#}\n  help: lower max-live-instances in [host], or allow the process more address space (ulimit -v)"
)]
pub struct EngineError(wasmtime::Error);

impl EngineOptions {
    /// The settings of the engine. Public for the benchmark, which runs a bare loop in an engine alike.
    pub fn config(&self) -> Config {
        self.config_with(WHOLE_MEMORY)
    }

    /// The same with so many bytes of addresses for each memory.
    fn config_with(&self, reservation: u64) -> Config {
        let slot = self.largest_memory.max(SMALLEST_SLOT).as_u64().next_multiple_of(64 * 1024);
        let instances = u32::try_from(self.max_live_instances).unwrap_or(u32::MAX);
        let kept_resident =
            if PoolingAllocationConfig::is_pagemap_scan_available() { KEPT_RESIDENT } else { 0 };
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT))
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(8)
            .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
            // Each memory in use costs mappings, of which the process has a bounded number: one for each instance.
            .total_memories(instances.max(8))
            .total_tables(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT))
            .total_stacks(instances)
            .max_memory_size(usize::try_from(slot).unwrap_or(usize::MAX))
            .table_elements(TABLE_ELEMENTS)
            // A slot that was in use has its memory resident already, whichever component had it.
            .max_unused_warm_slots(0)
            .linear_memory_keep_resident(kept_resident)
            .table_keep_resident(kept_resident.min(64 * 1024))
            .pagemap_scan(wasmtime::Enabled::Auto);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(reservation.max(slot))
            .memory_guard_size(64 * 1024)
            // Each instance's memory is filled by copying. Mapping the component's own pages would cost four system calls
            // and some page faults for each slot that changes from one version to another, all under a lock of the process.
            .memory_init_cow(false)
            .epoch_interruption(true)
            .concurrency_support(false);
        config
    }
}

impl Engine {
    /// Makes an engine, and starts the clock that lets it interrupt guests. The clock stops with the engine.
    pub fn new(options: &EngineOptions) -> Result<Engine, EngineError> {
        // Where addresses are scarce (`ulimit -v`, 39-bit kernels), memories get what they may use of them.
        let wasmtime = wasmtime::Engine::new(&options.config())
            .or_else(|error| {
                tracing::warn!(
                    code = "addresses-scarce",
                    "guests run a little slower, with checks of their bounds: {error:#}"
                );
                wasmtime::Engine::new(&options.config_with(0))
            })
            .map_err(EngineError)?;
        let mut linker = Linker::new(&wasmtime);
        imports::add_to_linker(&mut linker).map_err(EngineError)?;
        start_ticking(&wasmtime).map_err(|error| EngineError(error.into()))?;
        let cache = options.code_cache.clone().map(|folder| Arc::new(CodeCache::new(folder, &wasmtime)));
        let compiling =
            CompilingThreads::start().map_err(|error| EngineError(wasmtime::Error::new(error)))?;
        let precompiled = options.precompiled.clone();
        Ok(Engine { wasmtime, linker: Arc::new(linker), cache, precompiled, compiling: Arc::new(compiling) })
    }

    /// An engine that only compiles, for every processor of this kind that Linux distributions still support: what it compiles
    /// must run on another machine, and be the same whichever machine compiled it.
    pub(super) fn for_any_processor(options: &EngineOptions) -> Result<wasmtime::Engine, EngineError> {
        let mut config = options.config();
        config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH)).map_err(EngineError)?;
        if cfg!(target_arch = "x86_64") {
            for flag in X86_64_V2 {
                #[expect(
                    unsafe_code,
                    reason = "wasmtime cannot know what a processor has that runs the code later"
                )]
                // SAFETY: an engine takes code only when its processor has what the code was compiled for
                // (`check_compatible_with_isa_flag` in wasmtime's `engine.rs`).
                unsafe {
                    config.cranelift_flag_enable(flag);
                }
            }
        }
        wasmtime::Engine::new(&config).map_err(EngineError)
    }

    /// Removes compiled code that is kept for none of these versions.
    pub fn keep_code_of(&self, digests: &std::collections::BTreeSet<String>) {
        if let Some(cache) = &self.cache {
            cache.keep_only(digests);
        }
    }
}

/// Which threads compile. wasmtime compiles the functions of a component in parallel, on the pool of the thread that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiling {
    /// Threads that get a tenth of a processor where others want it.
    Soon,
    /// Threads that run when nobody else wants the processor, and stop at once when somebody does: a component that is
    /// compiled while the host serves must not be felt by its callers. Where the processors are never idle it takes for ever.
    Aside,
}

/// The threads of both kinds.
pub(super) struct CompilingThreads {
    soon: rayon::ThreadPool,
    aside: rayon::ThreadPool,
}

impl CompilingThreads {
    fn start() -> Result<CompilingThreads, rayon::ThreadPoolBuildError> {
        const NICE: i32 = 10;
        // On Linux the priority is that of the calling thread (`setpriority(2)`, "C library/kernel differences").
        let soon = compiling_threads("compile", || {
            let _slower_serving_is_no_reason_to_stop = rustix::process::setpriority_process(None, NICE);
        })?;
        // Being nice is not enough: a thread that runs may go on for a time slice of 3 ms before one that is not nice.
        let aside = compiling_threads("compile-aside", || {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            let _slower_serving_is_no_reason_to_stop =
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        })?;
        Ok(CompilingThreads { soon, aside })
    }

    pub(super) fn of(&self, compiling: Compiling) -> &rayon::ThreadPool {
        match compiling {
            Compiling::Soon => &self.soon,
            Compiling::Aside => &self.aside,
        }
    }
}

fn compiling_threads(
    name: &'static str,
    begin: impl Fn() + Send + Sync + 'static,
) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .thread_name(move |number| format!("{name}-{number}"))
        .start_handler(move |_| begin())
        .build()
}

/// One thread for each engine. It holds the engine weakly, and ends when the last handle is dropped.
fn start_ticking(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(tick).map(drop)
}
