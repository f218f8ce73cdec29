//! What one actor uses of the host: counters of its activation, for inspection.
//!
//! They are added to where the same is counted by type: the time by [`crate::scheduler`], the memory by
//! [`crate::component`], and the log by [`crate::imports`]. Each costs one addition for a poll, a growth or a line, and
//! no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one activation uses. Cheap to clone; the clones count together.
#[derive(Debug, Clone, Default)]
pub struct ActorUse(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Nanoseconds of a processor.
    processor: AtomicU64,
    /// Bytes of instances that are live now.
    memory: AtomicU64,
    /// Bytes of lines in the log.
    logged: AtomicU64,
}

impl ActorUse {
    /// Nanoseconds of a processor since the activation began, without those of a slice that has not ended.
    pub(crate) fn processor(&self) -> u64 {
        self.0.processor.load(Ordering::Relaxed)
    }

    /// The bytes of its live instances, as far as the host's budget of memory knows them.
    pub(crate) fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// The bytes that it has logged since the activation began.
    pub(crate) fn logged(&self) -> u64 {
        self.0.logged.load(Ordering::Relaxed)
    }

    /// A task of the actor has had so many nanoseconds of a processor.
    pub(crate) fn ran(&self, nanos: u64) {
        self.0.processor.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The actor has logged so many bytes.
    pub(crate) fn has_logged(&self, bytes: usize) {
        self.0.logged.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The memory of one instance among that of its actor, which ends with the instance.
#[derive(Debug)]
pub(crate) struct InstanceMemory {
    of: ActorUse,
    bytes: u64,
}

impl InstanceMemory {
    /// Begins without any.
    pub(crate) fn new(of: ActorUse) -> InstanceMemory {
        InstanceMemory { of, bytes: 0 }
    }

    /// The instance has grown by so many bytes.
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.of.0.memory.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for InstanceMemory {
    fn drop(&mut self) {
        self.of.0.memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_an_actor_is_that_of_its_live_instances() {
        let actor = ActorUse::default();
        let mut first = InstanceMemory::new(actor.clone());
        first.grow(3);
        let mut nested = InstanceMemory::new(actor.clone());
        nested.grow(4);
        first.grow(5);
        assert_eq!(actor.memory(), 12);
        drop(first);
        assert_eq!(actor.memory(), 4);
        drop(nested);
        assert_eq!(actor.memory(), 0);
    }
}
