//! The limit on an instance's memory.

use wasmtime::ResourceLimiter;

/// The maximum number of elements of a table; the pool's slots are made for it.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Limits the sum of all memories of an instance. Wasmtime's own `StoreLimits` limits each one separately.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    limit: usize,
    used: usize,
    /// The size of the last growth, which wasmtime may still fail to allocate.
    last_growth: usize,
    refused: bool,
}

impl MemoryLimiter {
    pub(super) fn new(limit: u64) -> MemoryLimiter {
        MemoryLimiter {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            used: 0,
            last_growth: 0,
            refused: false,
        }
    }

    /// Begins a turn: a refusal in the previous turn does not matter any more.
    pub(super) fn begin_turn(&mut self) {
        self.refused = false;
    }

    /// Returns `true` if more than the limit was requested. Distinguishes a guest that ran out of memory from one that
    /// merely trapped.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let after = self.used.saturating_add(desired.saturating_sub(current));
        if after > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.last_growth = after - self.used;
        self.used = after;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.used -= std::mem::take(&mut self.last_growth);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}
