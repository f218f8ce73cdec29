//! Large bodies take turns at being read.
//!
//! Hundreds of connections with megabytes in their sockets are all ready at once, and the threads that serve would go
//! through all of them before a request that has just come. So beyond its first bytes, a body is read with one of a few
//! permits, for a good part of it. Whoever waits for one asks for nothing, so its connection reads nothing either: hyper
//! reads the next piece of a body, of up to 400 KiB, as soon as somebody has asked for it. A body that arrives slowly holds
//! a permit for a moment at most.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The bytes of a body that are read at once: those of most bodies.
const FREE: usize = 64 * 1024;
/// The bodies that are read at the same time.
const PERMITS: usize = 2;
/// The bytes of a body that are read with one permit, or a piece more.
const PART: usize = 512 * 1024;
/// A smaller piece shows that the rest has yet to arrive.
const SMALL: usize = 8 * 1024;
/// The time for which a permit is held while nothing arrives. What lies in the socket takes less.
const PATIENCE: Duration = Duration::from_millis(2);

/// The turns of all bodies of a port. A cheap handle.
#[derive(Clone)]
pub(super) struct BodyTurns(Arc<Semaphore>);

/// The turn of one body, while it has one.
#[derive(Default)]
pub(super) struct BodyTurn {
    permit: Option<OwnedSemaphorePermit>,
    /// The bytes that were read with this permit.
    bytes: usize,
}

impl Default for BodyTurns {
    fn default() -> BodyTurns {
        BodyTurns(Arc::new(Semaphore::new(PERMITS)))
    }
}

impl BodyTurn {
    /// So many bytes have been read. After a good part, others have their turn.
    pub(super) fn has_read(&mut self, bytes: usize) {
        self.bytes += bytes;
        if bytes < SMALL || self.bytes >= PART {
            self.end();
        }
    }

    /// Others have their turn.
    pub(super) fn end(&mut self) {
        self.permit = None;
    }
}

impl BodyTurns {
    /// Reads the next piece of a body of which so many bytes are read, and returns how long it waited for its turn.
    /// `poll` must have the task woken when it is pending.
    pub(super) async fn piece<T>(
        &self,
        turn: &mut BodyTurn,
        bytes: usize,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> (T, Duration) {
        if bytes < FREE {
            return (std::future::poll_fn(poll).await, Duration::ZERO);
        }
        let mut waited = Duration::ZERO;
        loop {
            if turn.permit.is_none() {
                let since = Instant::now();
                // Never closed.
                let permit = self.0.clone().acquire_owned().await.ok();
                *turn = BodyTurn { permit, bytes: 0 };
                waited += since.elapsed();
            }
            match tokio::time::timeout(PATIENCE, std::future::poll_fn(&mut poll)).await {
                Ok(piece) => return (piece, waited),
                Err(_elapsed) => turn.end(),
            }
            woken().await;
        }
    }
}

/// Waits until the task is polled again.
async fn woken() {
    let mut was_polled = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut was_polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_large_body_waits_for_its_turn_and_a_small_one_does_not() {
        let turns = BodyTurns::default();
        let (mut one, mut two, mut other) = <(BodyTurn, BodyTurn, BodyTurn)>::default();
        for turn in [&mut one, &mut two] {
            turns.piece(turn, FREE, |_| Poll::Ready(())).await;
            turn.has_read(SMALL);
        }
        let (waker, mut small) = (Waker::noop(), BodyTurn::default());
        let context = &mut Context::from_waker(waker);
        assert!(pin!(turns.piece(&mut small, FREE - 1, |_| Poll::Ready(()))).poll(context).is_ready());
        let mut large = pin!(turns.piece(&mut other, FREE, |_| Poll::Ready(())));
        assert!(poll!(large.as_mut()).is_pending());
        // Each goes on with its own turn until it has had a good part.
        turns.piece(&mut one, FREE, |_| Poll::Ready(())).await;
        assert!(poll!(large.as_mut()).is_pending());
        one.has_read(PART);
        assert!(poll!(large.as_mut()).is_ready());
    }

    /// What arrives slowly comes in small pieces, or not at all for a moment.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_not_arrived_holds_no_turn() {
        let turns = BodyTurns::default();
        let mut slow = [(); PERMITS].map(|()| BodyTurn::default());
        for turn in &mut slow {
            let mut piece = pin!(turns.piece::<()>(turn, FREE, |_| Poll::Pending));
            assert!(poll!(piece.as_mut()).is_pending());
            tokio::time::advance(2 * PATIENCE).await;
            assert!(poll!(piece).is_pending());
        }
        let mut dripping = BodyTurn::default();
        for _ in 0..PERMITS {
            turns.piece(&mut dripping, FREE, |_| Poll::Ready(())).await;
            dripping.has_read(1);
        }
        assert_eq!(turns.0.available_permits(), PERMITS);
    }
}
