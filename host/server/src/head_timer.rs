//! The timer that hyper has for the heads of requests. It never ends.
//!
//! The socket has the relevant times ([`super::socket`]), and looks at them when hyper reads. hyper reads on after an
//! answer, so that it is asked, if there is a time for the next head. With a real timer, it would be set for each head,
//! and taken back with its first byte: both take the lock of the runtime's timers.

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
