//! The memory mappings of the process, of which the kernel allows a limited number.
//!
//! Each live instance costs some, and a process that exceeds `vm.max_map_count` aborts in malloc. So instances and their
//! memories are capped beforehand.

/// Mappings of a memory that is in use (measured).
const MAPS_PER_MEMORY: usize = 2;
/// Mappings of the fiber stack of an instance, which the pool has from the start (measured).
const MAPS_PER_STACK: usize = 2;
/// Mappings that are reserved for everything else.
const MAPS_FOR_THE_REST: usize = 4_096;
/// The kernel's default, for when the limit cannot be read.
const DEFAULT_MAP_COUNT: usize = 65_530;

/// `vm.max_map_count` of this machine, or the kernel's default if it cannot be read.
pub fn map_count_limit() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(DEFAULT_MAP_COUNT)
}

/// The number of live instances, with one memory each, that a number of mappings allows.
pub fn most_live_instances(map_count_limit: usize) -> usize {
    let for_instances = map_count_limit.saturating_sub(MAPS_FOR_THE_REST);
    (for_instances / (MAPS_PER_MEMORY + MAPS_PER_STACK)).clamp(16, 50_000)
}

/// The memories that a number of mappings allows beside the stacks of so many instances.
pub(super) fn most_memories(instances: usize, map_count_limit: usize) -> usize {
    let stacks = instances.saturating_mul(MAPS_PER_STACK);
    map_count_limit.saturating_sub(MAPS_FOR_THE_REST).saturating_sub(stacks) / MAPS_PER_MEMORY
}
