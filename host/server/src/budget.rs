//! The bytes of bodies that the host holds at the same time, from the first that is read until they are released: a
//! call that waits in a queue holds its payload.
//!
//! Bytes are counted as they arrive, so a client that only announces many takes none from others. Half-read bodies
//! would wait for each other forever once the budget is used up. So a quarter is reserved for finishing: the holder of
//! one of a few permits there may read its body to the end.
//!
//! Behind a sidecar, its calls have one half and all others the other: a message that finds no space blocks its
//! partition, and outsiders must not be able to cause that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The unit of counting in bytes.
const UNIT: usize = 1024;
/// The total time that a body waits for space before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);

/// The budget. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    finishers: Arc<Semaphore>,
}

/// The share of one body. Dropped with the body's bytes.
pub(super) struct Held {
    budget: Budget,
    units: Option<OwnedSemaphorePermit>,
    finishes: Option<OwnedSemaphorePermit>,
    /// The remaining patience: bodies that repeatedly got a little would all wait for each other.
    patience: Duration,
}

/// The budget is used up, and stayed so.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Budget {
    /// A budget of so many bytes. A body has at most `largest`.
    pub(super) fn new(bytes: usize, largest: usize) -> Budget {
        let (units, largest) = (bytes / UNIT, largest.div_ceil(UNIT).max(1));
        let finishers = (units / 4 / largest).max(1);
        let units = units.saturating_sub(finishers * largest).min(Semaphore::MAX_PERMITS);
        Budget { units: Arc::new(Semaphore::new(units)), finishers: Arc::new(Semaphore::new(finishers)) }
    }

    /// The budget of the sidecar's connections, and that of all others. Without a sidecar they are the same.
    pub(super) fn parts(bytes: usize, largest: usize, behind_sidecar: bool) -> (Budget, Budget) {
        if behind_sidecar {
            return (Budget::new(bytes / 2, largest), Budget::new(bytes / 2, largest));
        }
        let budget = Budget::new(bytes, largest);
        (budget.clone(), budget)
    }

    /// An empty share.
    pub(super) fn hold(&self) -> Held {
        Held { budget: self.clone(), units: None, finishes: None, patience: PATIENCE }
    }
}

impl Held {
    /// Extends the share to so many bytes in total.
    pub(super) async fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let held = self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(held);
        if missing == 0 || self.finishes.is_some() {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| NoRoom)?;
        let Budget { units, finishers } = self.budget.clone();
        if let Ok(more) = units.clone().try_acquire_many_owned(missing) {
            self.add(more);
            return Ok(());
        }
        let begun = Instant::now();
        tokio::select! {
            biased;
            Ok(more) = units.acquire_many_owned(missing) => self.add(more),
            Ok(place) = finishers.acquire_owned() => self.finishes = Some(place),
            () = tokio::time::sleep(self.patience) => return Err(NoRoom),
            else => return Err(NoRoom),
        }
        self.patience = self.patience.saturating_sub(begun.elapsed());
        Ok(())
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.units {
            Some(units) => units.merge(more),
            None => self.units = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_leave_the_sidecar_its_half() {
        const HALF: usize = 512 * 1024;
        for (behind_sidecar, room) in [(true, HALF), (false, 2 * HALF)] {
            let (of_sidecar, of_others) = Budget::parts(2 * HALF, 64 * 1024, behind_sidecar);
            let mut outsiders = Vec::new();
            for _ in 0..room / (64 * 1024) {
                let mut held = of_others.hold();
                held.cover(64 * 1024).await.expect("there is room");
                outsiders.push(held);
            }
            let (mut one_more, mut message) = (of_others.hold(), of_sidecar.hold());
            let (one_more, message) = tokio::join!(one_more.cover(64 * 1024), message.cover(64 * 1024));
            assert!(one_more.is_err());
            assert_eq!(message.is_ok(), behind_sidecar);
        }
    }

    #[tokio::test]
    async fn bodies_that_fill_the_budget_together_are_finished_one_after_the_other() {
        // Room for four bodies of 64 KiB, a quarter of it for one that finishes.
        let budget = Budget::new(256 * 1024, 64 * 1024);
        let mut bodies = (0..6).map(|_| budget.hold()).collect::<Vec<_>>();
        for body in &mut bodies {
            body.cover(32 * 1024).await.expect("192 KiB are free");
        }
        let mut last = bodies.pop().expect("six");
        last.cover(64 * 1024).await.expect("it finishes");
        assert!(bodies[0].cover(64 * 1024).await.is_err(), "one finishes at a time");
        drop(last);
        bodies[0].cover(64 * 1024).await.expect("there is room again");
        bodies.clear();
        budget.hold().cover(192 * 1024).await.expect("everything was given back");
        assert!(budget.hold().cover(64 * 1024).await.is_ok());
    }
}
