//! The number of those who wait for something, which stays right when their futures are dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts those who wait.
#[derive(Debug, Default)]
pub struct Waiters(AtomicUsize);

/// One who waits, until this is dropped.
#[must_use]
pub struct Waiter<'a>(&'a AtomicUsize);

impl Waiters {
    /// Begins a wait. Whoever begins one looks once more after it: what became free before is announced to nobody.
    pub fn begin(&self) -> Waiter<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Waiter(&self.0)
    }

    /// Returns `true` if somebody waits.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
