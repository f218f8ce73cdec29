//! The memory mappings of the process, of which the kernel allows a limited number.
//!
//! Each live instance costs some, and a process that exceeds `vm.max_map_count` aborts in malloc. So instances and their
//! memories are capped beforehand.

/// Mappings of a memory that is in use (measured).
const MAPS_PER_MEMORY: usize = 2;
/// Mappings of one whose image is mapped: the image, what is before it and after it, and the rest of its addresses.
const MAPS_PER_MAPPED_MEMORY: usize = 4;
/// Mappings of the fiber stack of an instance, which the pool has from the start (measured).
const MAPS_PER_STACK: usize = 2;
/// Mappings of an instance with one memory.
const MAPS_PER_INSTANCE: usize = MAPS_PER_STACK + MAPS_PER_MEMORY;
/// Mappings of one with two memories, whose images are mapped.
const MAPS_PER_MAPPED_INSTANCE: usize = MAPS_PER_STACK + 2 * MAPS_PER_MAPPED_MEMORY;
/// The part of all live instances, as a divisor, that may have mapped images at least.
const MIN_MAPPED_DIVISOR: usize = 4;
/// Mappings that are reserved for everything else.
const MAPS_FOR_THE_REST: usize = 4_096;
/// The kernel's default, for when the limit cannot be read.
const DEFAULT_MAP_COUNT: usize = 65_530;

/// `vm.max_map_count` of this machine, or the kernel's default if it cannot be read.
pub fn map_count_limit() -> usize {
    // Where it cannot be read, the default is safe: who changes this limit raises it.
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(DEFAULT_MAP_COUNT)
}

/// The number of live instances, with one memory each, that a number of mappings allows.
pub fn most_live_instances(map_count_limit: usize) -> usize {
    let for_so_many = MIN_MAPPED_DIVISOR * MAPS_PER_INSTANCE + MAPS_PER_MAPPED_INSTANCE;
    (for_instances(map_count_limit) / for_so_many * MIN_MAPPED_DIVISOR).clamp(16, 50_000)
}

/// The number among so many live instances whose images may be mapped: all of them, if there are enough mappings. Those of
/// the others are reserved as well, since a place in a pool keeps its mappings when its instance is gone.
pub(crate) fn most_mapped_instances(live_instances: usize, map_count_limit: usize) -> usize {
    let rest =
        for_instances(map_count_limit).saturating_sub(live_instances.saturating_mul(MAPS_PER_INSTANCE));
    (rest / MAPS_PER_MAPPED_INSTANCE).clamp(1, live_instances.max(1))
}

/// The memories whose content is copied that a number of mappings allows, beside the stacks of so many instances and what
/// those with mapped images need.
pub(super) fn most_memories(instances: usize, map_count_limit: usize) -> usize {
    let stacks = instances.saturating_mul(MAPS_PER_STACK);
    let mapped = most_mapped_instances(instances, map_count_limit) * MAPS_PER_MAPPED_INSTANCE;
    for_instances(map_count_limit).saturating_sub(stacks).saturating_sub(mapped) / MAPS_PER_MEMORY
}

fn for_instances(map_count_limit: usize) -> usize {
    map_count_limit.saturating_sub(MAPS_FOR_THE_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_places_together_need_no_more_mappings_than_there_are() {
        for limit in [DEFAULT_MAP_COUNT, 262_144, 1_048_576] {
            let most = most_live_instances(limit);
            for instances in (16..most).step_by(7).chain([most]) {
                let mapped = most_mapped_instances(instances, limit);
                let memories = most_memories(instances, limit).min(2 * instances);
                let maps = MAPS_PER_STACK * instances
                    + MAPS_PER_MEMORY * memories
                    + MAPS_PER_MAPPED_INSTANCE * mapped
                    + MAPS_FOR_THE_REST;
                assert!(
                    maps <= limit && mapped >= instances / MIN_MAPPED_DIVISOR,
                    "{instances} of {limit}: {maps}"
                );
                assert!(memories >= instances, "{instances} of {limit}: {memories}");
            }
        }
        assert_eq!(most_live_instances(DEFAULT_MAP_COUNT), 9_448);
        assert_eq!(most_mapped_instances(8_192, DEFAULT_MAP_COUNT), 2_866);
        assert_eq!(most_mapped_instances(8_192, 262_144), 8_192);
    }
}
