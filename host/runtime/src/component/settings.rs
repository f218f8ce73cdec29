//! The settings on which code depends, besides the component: an engine accepts code that was compiled with the same
//! settings as its own.

use wasmtime::Config;

use super::initial_memory::{InitialMemory, SPARSE_IMAGE};

/// The instructions of x86-64-v2, which processors have had since 2009 (Cranelift's names,
/// `cranelift-codegen/meta/src/isa/x86.rs`).
const X86_64_V2: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];

/// The settings on which code depends, besides the component: an engine accepts code that was compiled with the same
/// settings as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodeSettings {
    /// The bytes of addresses that are reserved for each memory.
    pub(super) reservation: u64,
    /// See [`EngineOptions::for_any_processor`].
    pub(super) any_processor: bool,
    /// How instances begin: the data lies in another way in the code.
    pub(super) initial_memory: InitialMemory,
}

/// The settings on which code depends.
pub(super) fn base_config(reservation: u64, initial_memory: InitialMemory) -> Config {
    let mut config = Config::new();
    config
        .memory_reservation(reservation)
        .memory_guard_size(64 * 1024)
        // With much data only: mapping costs four system calls and some page faults for each slot that changes from one
        // version to another, all under a lock of the process.
        .memory_init_cow(initial_memory == InitialMemory::Mapped)
        .memory_guaranteed_dense_image_size(SPARSE_IMAGE)
        .epoch_interruption(true)
        .concurrency_support(false);
    config
}

impl CodeSettings {
    /// An engine that compiles. It creates no instances, and so needs no pool of them.
    pub(super) fn engine(&self) -> wasmtime::Result<wasmtime::Engine> {
        let mut config = base_config(self.reservation, self.initial_memory);
        if self.any_processor {
            allow_any_processor(&mut config)?;
        }
        wasmtime::Engine::new(&config)
    }

    /// Compiles a component. Blocks, without limits, on the caller's thread pool.
    pub(super) fn compile(&self, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.engine()?.precompile_component(wasm)
    }
}

/// Compiles for every processor of this kind rather than for the one at hand.
fn allow_any_processor(config: &mut Config) -> wasmtime::Result<()> {
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    if cfg!(target_arch = "x86_64") {
        for flag in X86_64_V2 {
            #[expect(
                unsafe_code,
                reason = "wasmtime cannot know what a processor has that runs the code later"
            )]
            // SAFETY: an engine accepts code only if its processor has the features that the code was compiled for
            // (`check_compatible_with_isa_flag` in wasmtime's `engine.rs`).
            unsafe {
                config.cranelift_flag_enable(flag);
            }
        }
    }
    Ok(())
}
