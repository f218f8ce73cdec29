//! The limit on an instance's memory, and its part of the host's budget.

use std::time::Duration;

use daca_base::memory::{MemoryKind, Reservation};
use wasmtime::ResourceLimiterAsync;

use crate::actor_use::{ActorUse, InstanceMemory};

/// The maximum number of elements of a table; the pool's slots are made for it.
pub(super) const TABLE_ELEMENTS: usize = 20_000;
/// The bytes of an element of a table.
const ELEMENT: usize = 8;
/// The handles of an instance to resources, those that are lent included.
pub(super) const MAX_HANDLES: usize = 100_000;
/// The bytes that so many take: 16 each, in a list that grows by doubling (measured: 2.1 MiB an instance).
const HANDLES: u64 = 2 * 1024 * 1024;
/// What an instance takes besides its memories and tables: its stack, its store and its core instances (measured with a
/// small Rust guest).
const INSTANCE: u64 = 48 * 1024;
/// The part of the first memory that is not reserved: a guest of LLVM begins with a stack of a megabyte, and writes a
/// few pages of it. What it does write beyond that shows when the host is measured.
const UNTOUCHED: usize = 1024 * 1024;
/// The part of a mapped image, as a divisor, that is not reserved either: pages that an instance does not write are those of
/// the image. How many it writes is not known before; what is more than the half shows when the host is measured.
const UNTOUCHED_OF_IMAGE: u64 = 2;
/// How long a turn waits for memory of the host, before it is given up.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits the sum of all memories and tables of an instance. Wasmtime's own `StoreLimits` limits each one separately.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    limit: usize,
    used: usize,
    refused: bool,
    /// The part of the host's budget.
    reserved: Reservation,
    /// The same among the memory of its actor.
    of_actor: InstanceMemory,
    /// What of the next growth is not reserved.
    untouched: usize,
    /// A growth waits for the host's memory, or has waited in vain.
    is_starved: bool,
}

impl MemoryLimiter {
    /// `image` has the bytes of the instance's memory that are mapped, and `used` is of its actor.
    pub(super) fn new(limit: u64, image: u64, reserved: Reservation, used: ActorUse) -> MemoryLimiter {
        let untouched_of_image = usize::try_from(image / UNTOUCHED_OF_IMAGE).unwrap_or(usize::MAX);
        MemoryLimiter {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            used: 0,
            refused: false,
            reserved,
            of_actor: InstanceMemory::new(used),
            untouched: UNTOUCHED.saturating_add(untouched_of_image),
            is_starved: false,
        }
    }

    /// Begins a turn: a refusal in the previous turn does not matter any more. Returns the reservation for what the turn
    /// writes.
    pub(super) fn begin_turn(&mut self) -> Reservation {
        self.refused = false;
        self.is_starved = false;
        self.reserved.begin_turn();
        self.reserved.beside(MemoryKind::Turns)
    }

    /// Ends a turn.
    pub(super) fn end_turn(&mut self) {
        self.reserved.end_turn();
    }

    /// Reserves what an instance takes at least. Nobody is asked when it makes handles, so one that has resources of its
    /// own reserves all that it may have. Others have few: the host gives them a thousand at most.
    pub(super) async fn begin_instance(&mut self, makes_resources: bool) -> wasmtime::Result<()> {
        let handles = if makes_resources { HANDLES } else { 0 };
        self.reserve(INSTANCE + handles).await
    }

    /// The instance is there: from now on, what grows is used.
    pub(super) fn instance_begun(&mut self) {
        self.untouched = 0;
    }

    /// The bytes of the instance, as far as the host's budget knows them.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.bytes()
    }

    /// Returns `true` if more than the limit was requested. Distinguishes a guest that ran out of memory from one that
    /// merely trapped.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// Returns `true` if the turn waits for memory of the host, or has waited in vain.
    pub(super) fn is_starved(&self) -> bool {
        self.is_starved
    }

    async fn reserve(&mut self, bytes: u64) -> wasmtime::Result<()> {
        // It stays so if the turn ends while it waits.
        self.is_starved = true;
        self.reserved
            .wait_grow(bytes, WAIT_TIMEOUT)
            .await
            .map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        self.is_starved = false;
        self.of_actor.grow(bytes);
        Ok(())
    }

    /// Returns `false` beyond the instance's own limit. Beyond that of the host, the guest is aborted: it could do nothing
    /// about it, and should not take another way because of it.
    async fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let after = self.used.saturating_add(more);
        if after > self.limit {
            self.refused = true;
            return Ok(false);
        }
        let untouched = more.min(self.untouched);
        let reserved = u64::try_from(more - untouched).unwrap_or(u64::MAX);
        self.reserve(reserved).await?;
        self.untouched -= untouched;
        self.used = after;
        Ok(true)
    }
}

/// What wasmtime fails to allocate afterwards stays counted. It tells of that failure, but also of ones that it has not
/// asked for, and a guest could let it subtract what it has. So the declared maximum, the one cause that a guest has in its
/// hands, is checked here.
#[async_trait::async_trait]
impl ResourceLimiterAsync for MemoryLimiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current)).await
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > maximum.unwrap_or(TABLE_ELEMENTS).min(TABLE_ELEMENTS) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT)).await
    }
}

#[cfg(test)]
mod tests {
    use daca_base::memory::MemoryBudget;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn limiter(budget: &MemoryBudget) -> MemoryLimiter {
        let reserved = budget.reservation(MemoryKind::Instances, Some("A"));
        let mut limiter = MemoryLimiter::new(4 * MIB as u64, 0, reserved, ActorUse::default());
        limiter.instance_begun();
        limiter
    }

    #[tokio::test]
    async fn a_growth_that_fails_takes_nothing_off_the_count() {
        let mut limiter = limiter(&MemoryBudget::unlimited());
        assert!(matches!(limiter.memory_growing(0, 3 * MIB, None).await, Ok(true)));
        // More than the type of the memory allows: wasmtime tells of it without having asked.
        assert!(limiter.memory_grow_failed(wasmtime::Error::msg("too large")).is_ok());
        assert!(matches!(limiter.memory_growing(3 * MIB, 5 * MIB, Some(4 * MIB)).await, Ok(false)));
        assert!(!limiter.refused(), "its own maximum is no limit of the host");
        assert!(matches!(limiter.memory_growing(3 * MIB, 5 * MIB, None).await, Ok(false)));
        assert!(limiter.refused());
        assert_eq!(limiter.reserved(), 3 * MIB as u64);
    }

    #[tokio::test]
    async fn tables_count_as_memory() {
        let mut limiter = limiter(&MemoryBudget::unlimited());
        for _ in 0..26 {
            assert!(matches!(limiter.table_growing(0, TABLE_ELEMENTS, None).await, Ok(true)));
        }
        assert!(matches!(limiter.table_growing(0, TABLE_ELEMENTS, None).await, Ok(false)));
    }

    #[tokio::test]
    async fn an_instance_that_makes_resources_reserves_its_handles() {
        for (makes_resources, reserved) in [(false, INSTANCE), (true, INSTANCE + HANDLES)] {
            let mut limiter = limiter(&MemoryBudget::unlimited());
            assert!(limiter.begin_instance(makes_resources).await.is_ok());
            assert_eq!(limiter.reserved(), reserved);
        }
    }

    #[tokio::test]
    async fn half_of_a_mapped_image_is_not_reserved() {
        let reserved = MemoryBudget::unlimited().reservation(MemoryKind::Instances, Some("A"));
        let mut limiter = MemoryLimiter::new(16 * MIB as u64, 4 * MIB as u64, reserved, ActorUse::default());
        assert!(matches!(limiter.memory_growing(0, 8 * MIB, None).await, Ok(true)));
        assert_eq!(limiter.reserved(), 5 * MIB as u64, "nor is the usual megabyte");
        limiter.instance_begun();
        assert!(matches!(limiter.memory_growing(8 * MIB, 9 * MIB, None).await, Ok(true)));
        assert_eq!(limiter.reserved(), 6 * MIB as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_for_which_the_host_has_no_memory_is_starved() {
        let budget = MemoryBudget::new(2 * MIB as u64, &[("A".into(), 1)].into_iter().collect());
        let (mut one, mut other) = (limiter(&budget), limiter(&budget));
        let _writes = [one.begin_turn(), other.begin_turn()];
        assert!(matches!(one.memory_growing(0, 3 * MIB, None).await, Ok(true)), "one may go beyond");
        assert!(other.memory_growing(0, MIB, None).await.is_err());
        assert!(other.is_starved() && !one.is_starved() && !other.refused());
    }
}
