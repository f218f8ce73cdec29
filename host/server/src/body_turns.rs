//! Large bodies take turns at being read, piece by piece.
//!
//! Hundreds of connections with megabytes in their sockets are all ready at once, and the threads that serve would go
//! through all of them before a request that has just come. So beyond its first bytes, a body is read with one of a few
//! permits, each for a piece that has arrived: a body that arrives slowly holds none, and those that wait for one take no
//! thread.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The bytes of a body that are read at once: those of most bodies.
const FREE: usize = 64 * 1024;
/// The pieces that are read at the same time.
const PERMITS: usize = 2;

/// The turns of all bodies of a port. A cheap handle.
#[derive(Clone)]
pub(super) struct BodyTurns(Arc<Semaphore>);

impl Default for BodyTurns {
    fn default() -> BodyTurns {
        BodyTurns(Arc::new(Semaphore::new(PERMITS)))
    }
}

impl BodyTurns {
    /// Reads the next piece of a body of which so many bytes are read, and returns how long it waited for its turn.
    /// `poll` must have the task woken when it is pending.
    pub(super) async fn piece<T>(
        &self,
        bytes: usize,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> (T, Duration) {
        if bytes < FREE {
            return (std::future::poll_fn(poll).await, Duration::ZERO);
        }
        let mut waited = Duration::ZERO;
        loop {
            let since = Instant::now();
            // Never closed.
            let turn = self.0.acquire().await.ok();
            waited += since.elapsed();
            let piece = std::future::poll_fn(|context| Poll::Ready(poll(context))).await;
            drop(turn);
            match piece {
                Poll::Ready(piece) => return (piece, waited),
                Poll::Pending => woken().await,
            }
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

    use super::*;

    #[test]
    fn a_large_body_waits_for_its_turn_and_a_small_one_does_not() {
        let turns = BodyTurns::default();
        let context = &mut Context::from_waker(Waker::noop());
        let others = turns.0.try_acquire_many(PERMITS as u32).expect("they are free");
        let piece = |bytes| turns.piece(bytes, |_| Poll::Ready(()));
        let mut large = pin!(piece(FREE));
        assert!(large.as_mut().poll(context).is_pending());
        assert!(pin!(piece(FREE - 1)).poll(context).is_ready());
        drop(others);
        assert!(large.as_mut().poll(context).is_ready());
    }

    #[test]
    fn a_body_that_has_not_arrived_holds_no_turn() {
        let turns = BodyTurns::default();
        let context = &mut Context::from_waker(Waker::noop());
        let mut slow = [(); PERMITS].map(|()| Box::pin(turns.piece::<()>(FREE, |_| Poll::Pending)));
        assert!(slow.iter_mut().all(|slow| slow.as_mut().poll(context).is_pending()));
        assert!(pin!(turns.piece(FREE, |_| Poll::Ready(()))).poll(context).is_ready());
    }
}
