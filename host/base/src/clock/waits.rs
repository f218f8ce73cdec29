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

    /// The number of those that somebody still waits for.
    pub(super) fn len(&self) -> usize {
        self.0.lock().by_time.values().filter(|wait| !wait.is_closed()).count()
    }

    /// The end of the next one that somebody still waits for.
    pub(super) fn next(&self) -> Option<SystemTime> {
        let inner = self.0.lock();
        inner.by_time.iter().find(|(_, wait)| !wait.is_closed()).map(|((time, _), _)| *time)
    }
}
