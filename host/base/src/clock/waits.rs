//! The waits for a clock that is moved: they end when it is, and not by themselves.

use std::collections::BTreeMap;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The waits, by the times at which they end.
#[derive(Default)]
pub(super) struct Waits(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_time: BTreeMap<(SystemTime, u64), oneshot::Sender<()>>,
    last: u64,
}

impl Waits {
    /// Adds a wait that ends at a time.
    pub(super) fn add(&self, end: SystemTime) -> oneshot::Receiver<()> {
        let (ended, wait) = oneshot::channel();
        let mut inner = self.0.lock();
        inner.last += 1;
        let number = inner.last;
        inner.by_time.insert((end, number), ended);
        wait
    }

    /// Ends those whose time has come.
    pub(super) fn end(&self, now: SystemTime) {
        let mut inner = self.0.lock();
        while let Some(first) = inner.by_time.first_entry()
            && first.key().0 <= now
        {
            // Nobody waits any more if it is dropped.
            first.remove().send(()).ok();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().by_time.len()
    }

    pub(super) fn next(&self) -> Option<SystemTime> {
        self.0.lock().by_time.keys().next().map(|(time, _)| *time)
    }
}
