//! The timer that hyper has for the heads of requests. It never ends.
//!
//! The socket has the relevant times ([`super::socket`]), and checks them when hyper reads. hyper keeps reading after an
//! answer, so that the socket can check, only if a timeout for the next head is configured. A real timer would be set
//! for each head and cancelled with its first byte, and each of these takes the lock of the runtime's timers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// A timer that never ends.
pub(super) struct HeadTimer {
    /// What it takes for the present: hyper only adds to it.
    made: Instant,
}

impl HeadTimer {
    pub(super) fn new() -> HeadTimer {
        HeadTimer { made: Instant::now() }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Never)
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Never)
    }

    fn now(&self) -> Instant {
        self.made
    }

    fn reset(&self, _sleep: &mut Pin<Box<dyn Sleep>>, _deadline: Instant) {}
}

/// It has no size, so a box of it takes no memory.
struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {}
