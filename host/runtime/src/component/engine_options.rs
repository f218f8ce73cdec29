//! What an engine is made with: the settings of wasmtime, and the pools that instances take their places from.
//!
//! Each kind of [`InitialMemory`] has a pool of its own. Pools reserve addresses, and mappings for the stacks; a place
//! takes memory when it is used.

use std::path::PathBuf;

use bytesize::ByteSize;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::compiler::CompileIn;
use super::initial_memory::InitialMemory;
use super::limits::TABLE_ELEMENTS;
use super::mappings::{map_count_limit, most_mapped_instances, most_memories};
use super::settings::base_config;

/// The smallest slot for a memory. Slots only reserve addresses.
const MIN_SLOT: ByteSize = ByteSize::mib(16);
/// The whole address space of a guest. With so many addresses reserved for each memory, a guest's reads and writes need
/// no bounds checks: addresses beyond the memory are not mapped. That saves an eighth of a turn.
pub(super) const WHOLE_MEMORY: u64 = 4 << 30;
/// The written bytes of a memory that are reset by copying when its slot is reused, rather than by a system call that
/// takes a lock of the whole process: with less than a guest writes, two threads create fewer instances than one. They
/// stay in memory when the instance is gone, for ever. So it is several times what a small Rust guest writes, and no
/// more: what is above goes back to the system. Only if the kernel can report which pages were written (`PAGEMAP_SCAN`,
/// Linux 6.7); otherwise all of them are written, and each used slot would cost all of this.
const KEPT_RESIDENT: usize = 256 * 1024;
/// The maximum number of core instances of one component. Python's has about 38 core modules.
pub(super) const CORE_INSTANCES_PER_COMPONENT: u32 = 100;
/// The maximum number of memories of one component.
pub(super) const MEMORIES_PER_COMPONENT: u32 = 8;
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

/// The core instances that so many instances may have together, and their tables.
pub(crate) fn most_core_instances(live_instances: usize) -> usize {
    live_instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT as usize)
}

impl EngineOptions {
    /// A small engine for unit tests, which compiles in their process.
    #[cfg(test)]
    pub(crate) fn of_tests() -> EngineOptions {
        EngineOptions {
            max_live_instances: 8,
            largest_memory: ByteSize::mib(16),
            code_cache: None,
            precompiled: None,
            compile_in: CompileIn::ThisProcess,
            for_any_processor: false,
        }
    }

    /// The settings of the engine for components with little data. Public for the benchmark, which runs a bare loop in the
    /// same kind of engine.
    pub fn config(&self) -> Config {
        self.config_with(WHOLE_MEMORY, InitialMemory::Copied)
    }

    /// The size of a memory's slot in the pool, in bytes. Slots are reserved, and only used when the guest uses them.
    pub(super) fn slot(&self) -> u64 {
        self.largest_memory.max(MIN_SLOT).as_u64().next_multiple_of(64 * 1024)
    }

    /// The settings of an engine with so many bytes of addresses for each memory.
    pub(super) fn config_with(&self, reservation: u64, initial_memory: InitialMemory) -> Config {
        let reservation = reservation.max(self.slot());
        let mut config = base_config(reservation, initial_memory);
        let pool = self.pool(reservation, initial_memory);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }

    /// The memories that all instances of an engine with so many bytes of addresses for each may have together.
    pub(super) fn memories(&self, reservation: u64, initial_memory: InitialMemory) -> usize {
        let memories = self.places(reservation.max(self.slot()), initial_memory).memories;
        usize::try_from(memories).unwrap_or(usize::MAX)
    }

    fn places(&self, reservation: u64, initial_memory: InitialMemory) -> Places {
        Places::of(initial_memory, self.max_live_instances, reservation, map_count_limit())
    }

    fn pool(&self, reservation: u64, initial_memory: InitialMemory) -> PoolingAllocationConfig {
        let Places { instances, memories } = self.places(reservation, initial_memory);
        let tables = u32::try_from(most_core_instances(self.max_live_instances)).unwrap_or(u32::MAX);
        let kept_resident = kept_resident(initial_memory);
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances)
            // A mere counter in wasmtime, which also has what the compiler adds to nested components. What the agent types
            // share is counted before (`most_core_instances`).
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(MEMORIES_PER_COMPONENT)
            .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
            .total_memories(memories)
            .total_tables(tables)
            .total_stacks(instances)
            .max_memory_size(usize::try_from(self.slot()).unwrap_or(usize::MAX))
            .table_elements(TABLE_ELEMENTS)
            // The memory of a used slot is already resident, whichever component had it.
            .max_unused_warm_slots(0)
            .linear_memory_keep_resident(kept_resident)
            .table_keep_resident(kept_resident.min(64 * 1024))
            .pagemap_scan(wasmtime::Enabled::Auto);
        pool
    }
}

/// The bytes of a used slot that stay resident. A guest with much data writes megabytes, and its activation takes
/// milliseconds: the system call is nothing beside them.
fn kept_resident(initial_memory: InitialMemory) -> usize {
    match initial_memory {
        InitialMemory::Copied if PoolingAllocationConfig::is_pagemap_scan_available() => KEPT_RESIDENT,
        InitialMemory::Copied | InitialMemory::Mapped => 0,
    }
}

/// The places of a pool.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    instances: u32,
    memories: u32,
}

impl Places {
    /// Those for so many live instances, each of whose memories reserves addresses. Those in use cost mappings. Of both the
    /// process has a limited number, so a host of very many instances has one memory for each.
    fn of(initial_memory: InitialMemory, live: usize, reservation: u64, map_count_limit: usize) -> Places {
        let (instances, addresses, mappings) = match initial_memory {
            InitialMemory::Copied => (live, MAX_RESERVED, most_memories(live, map_count_limit)),
            // Two memories are part of what each of these needs.
            InitialMemory::Mapped => {
                (most_mapped_instances(live, map_count_limit), MAX_RESERVED / 2, usize::MAX)
            }
        };
        let instances = u32::try_from(instances).unwrap_or(u32::MAX);
        let addresses = u32::try_from(addresses / reservation.max(1)).unwrap_or(u32::MAX);
        let mappings = u32::try_from(mappings).unwrap_or(u32::MAX);
        let memories = instances.saturating_mul(MEMORIES_PER_INSTANCE).min(addresses).min(mappings);
        Places { instances, memories: memories.max(instances).max(MEMORIES_PER_COMPONENT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_may_have_two_memories_as_long_as_there_are_addresses_and_mappings() {
        const MANY: usize = 1_000_000;
        let of =
            |live, reservation, limit| Places::of(InitialMemory::Copied, live, reservation, limit).memories;
        let whole = [1, 10, 8_192, 10_000, 20_000].map(|live| of(live, WHOLE_MEMORY, MANY));
        assert_eq!(whole, [8, 20, 16_384, 16_384, 20_000]);
        let slot = MIN_SLOT.as_u64();
        assert_eq!(of(20_000, slot, MANY), 40_000);
        // The kernel's default.
        assert_eq!([2_000, 4_096, 8_192].map(|live| of(live, slot, 65_530)), [4_000, 6_141, 8_195]);
    }

    #[test]
    fn the_pool_of_mapped_images_takes_the_mappings_and_addresses_that_are_left() {
        let of = |live, limit| {
            let Places { instances, memories } = Places::of(InitialMemory::Mapped, live, WHOLE_MEMORY, limit);
            (instances, memories)
        };
        assert_eq!([1, 2_000, 8_192].map(|live| of(live, 65_530)), [(1, 8), (2_000, 4_000), (2_866, 5_732)]);
        assert_eq!(of(8_192, 1_000_000), (8_192, 8_192));
    }
}
