//! The engine: everything that components share. It has one constructor, because code that one engine compiled runs in
//! another only if both have the same configuration.
//!
//! It consists of two engines of wasmtime, one for each kind of [`InitialMemory`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Linker;

use super::cache::CodeCache;
use super::compiler::{Compiler, Target};
use super::engine_options::{EngineOptions, WHOLE_MEMORY};
use super::image_files::ImageFiles;
use super::initial_memory::{InitialMemory, MAPPED_FROM, PerInitialMemory};
use super::instance_state::InstanceState;
use super::outline::Outline;
use super::script_engine::{self, ScriptEngine};
use super::settings::CodeSettings;
use super::stalls::Stalls;
use crate::imports;
use daca_base::memory::MemoryBudget;
use daca_base::{ErrorCode, Explained, Explanation, task};

/// The interval at which running guests check their clock, and so the longest time that a busy guest keeps a thread
/// from others.
const TICK: Duration = Duration::from_millis(5);

/// Compiles components, creates instances, and interrupts long-running guests. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    variants: Arc<PerInitialMemory<EngineVariant>>,
    pub(super) compiler: Arc<Compiler>,
    /// The times in which the process did not run.
    pub(super) stalls: Arc<Stalls>,
    /// What evaluates scripts.
    pub(super) scripts: ScriptEngine,
    /// What instances and code count against.
    pub(super) memory: MemoryBudget,
    pub(super) image_files: ImageFiles,
    /// The bytes of data from which on a component's memories are mapped.
    mapped_from: u64,
}

/// An engine of wasmtime, with the imports that its components are linked with.
pub(super) struct EngineVariant {
    pub(super) wasmtime: wasmtime::Engine,
    /// The memories that its instances may have together.
    memories: usize,
    pub(super) linker: Linker<InstanceState>,
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

impl EngineVariant {
    fn new(wasmtime: wasmtime::Engine, memories: usize) -> wasmtime::Result<EngineVariant> {
        let mut linker = Linker::new(&wasmtime);
        imports::add_to_linker(&mut linker, InstanceState::imports)?;
        imports::add_lists_to_linker(&mut linker, InstanceState::imports)?;
        script_engine::add_to_linker(&mut linker)?;
        Ok(EngineVariant { wasmtime, memories, linker })
    }
}

impl Engine {
    /// Creates an engine, and starts the clock with which it interrupts guests. The clock stops with the engine.
    pub fn new(options: &EngineOptions) -> Result<Engine, EngineError> {
        let (reservation, engines) = open(options).map_err(EngineError)?;
        let stalls = Arc::new(Stalls::new(TICK));
        start_ticking(engines.both(), stalls.clone()).map_err(|error| EngineError(error.into()))?;
        let targets = PerInitialMemory::new(|initial_memory| {
            let engine = engines.of(initial_memory).clone();
            let settings = CodeSettings {
                reservation: reservation.max(options.slot()),
                any_processor: options.for_any_processor,
                initial_memory,
            };
            let cache = options.code_cache.clone().map(|folder| CodeCache::new(folder, &engine));
            Target { engine, settings, cache }
        });
        let compiler = Compiler::new(targets, options.compile_in.clone(), options.precompiled.clone());
        let variants = PerInitialMemory::try_new(|initial_memory| {
            let memories = options.memories(reservation, initial_memory);
            EngineVariant::new(engines.of(initial_memory).clone(), memories)
        });
        Ok(Engine {
            variants: Arc::new(variants.map_err(EngineError)?),
            compiler: Arc::new(compiler),
            stalls,
            scripts: ScriptEngine::default(),
            memory: MemoryBudget::unlimited(),
            image_files: ImageFiles::new(),
            mapped_from: MAPPED_FROM,
        })
    }

    /// The same engine with a budget of memory. Without one, nothing is refused.
    pub fn within(self, memory: MemoryBudget) -> Engine {
        Engine { memory, ..self }
    }

    /// The same engine, which maps the memories of components with at least so many bytes of data. For the benchmark, which
    /// compares both kinds; a host decides by the component's file alone.
    pub fn mapping_from(self, bytes: u64) -> Engine {
        Engine { mapped_from: bytes, ..self }
    }

    /// How the instances of a component begin.
    pub(super) fn initial_memory(&self, outline: &Outline) -> InitialMemory {
        outline.data.initial_memory(self.mapped_from)
    }

    /// The part for components whose instances begin in this way.
    pub(super) fn variant(&self, initial_memory: InitialMemory) -> &EngineVariant {
        self.variants.of(initial_memory)
    }

    /// The budget of memory.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// The memories that the instances may have together whose memory is copied, and those whose memory is mapped.
    pub(crate) fn most_memories(&self) -> [usize; 2] {
        self.variants.both().map(|variant| variant.memories)
    }

    /// The bytes that the pools keep of instances that are gone.
    pub fn warm_bytes(&self) -> u64 {
        let of = |variant: &EngineVariant| {
            let pool = variant.wasmtime.pooling_allocator_metrics()?;
            Some(pool.unused_memory_bytes_resident().saturating_add(pool.unused_table_bytes_resident()))
        };
        let bytes = self.variants.both().into_iter().filter_map(of).sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Makes all guests that run give way now, rather than at the next tick.
    pub(crate) fn interrupt_guests(&self) {
        for variant in self.variants.both() {
            variant.wasmtime.increment_epoch();
        }
    }

    /// Stops all compilations, and starts no new ones: the host shuts down.
    pub fn stop_compiling(&self) {
        self.compiler.stop();
    }

    /// Removes the compiled code of all versions but these. That of the engine of scripts stays.
    pub fn keep_code_of(&self, digests: &BTreeSet<String>) {
        let mut kept = digests.clone();
        kept.insert(script_engine::engine_digest().to_owned());
        self.compiler.keep_only(&kept);
    }
}

/// Both engines of wasmtime, and the bytes of addresses that they wanted for each memory.
fn open(options: &EngineOptions) -> wasmtime::Result<(u64, PerInitialMemory<wasmtime::Engine>)> {
    let engines = |reservation| {
        PerInitialMemory::try_new(|initial_memory| {
            wasmtime::Engine::new(&options.config_with(reservation, initial_memory))
        })
    };
    match engines(WHOLE_MEMORY) {
        Ok(engines) => Ok((WHOLE_MEMORY, engines)),
        // Where addresses are scarce (`ulimit -v`, 39-bit kernels), memories only get the addresses that they may use.
        Err(error) => {
            tracing::warn!(
                code = ErrorCode::AddressesScarce.as_str(),
                "guests run a little slower, with checks of their bounds: {error:#}"
            );
            Ok((0, engines(0)?))
        }
    }
}

/// One thread for each engine, which advances the epochs of both engines of wasmtime. It holds them weakly, and ends when the
/// last handle to either is dropped.
fn start_ticking(engines: [&wasmtime::Engine; 2], stalls: Arc<Stalls>) -> std::io::Result<()> {
    let engines = engines.map(wasmtime::Engine::weak);
    let tick = move || {
        loop {
            let live = engines.each_ref().map(wasmtime::EngineWeak::upgrade);
            if live.iter().all(Option::is_none) {
                return;
            }
            for engine in live.iter().flatten() {
                engine.increment_epoch();
            }
            stalls.tick();
            drop(live);
            std::thread::sleep(TICK);
        }
    };
    let lasting = move || task::lasting_thread("ticks of guests", &tick);
    std::thread::Builder::new().name("epoch".into()).spawn(lasting).map(drop)
}
