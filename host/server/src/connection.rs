//! One connection, as all see it that share it: the admission, which may evict it, the socket with its bytes, and the
//! requests that it carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use daca_base::clock::millis;

/// A connection.
pub(super) struct Connection {
    /// The peer whose permit it takes; `None` for a peer on this machine.
    pub(super) peer: Option<IpAddr>,
    /// `true` if it takes one of the sidecar's permits.
    pub(super) of_sidecar: bool,
    /// `true` if it serves health checks only.
    pub(super) is_spare: bool,
    /// Cancelled when it is evicted.
    pub(super) evicted: CancellationToken,
    /// The head that it reads.
    pub(super) head: CurrentHead,
    /// What it does.
    pub(super) activity: Activity,
}

/// The current head, from its first byte until its request is handled.
#[derive(Default)]
pub(super) struct CurrentHead {
    /// Its dropped lines.
    cut_lines: AtomicUsize,
    /// Its permit, if it is large.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

/// What a connection does, and since when it has done nothing.
pub(super) struct Activity {
    start: Instant,
    requests: AtomicU64,
    handled: AtomicUsize,
    received: AtomicUsize,
    /// A part of an answer may still have to be written. hyper drops the answer as soon as it is in its buffer.
    is_unsent: AtomicBool,
    /// Milliseconds since the start.
    idle_since: AtomicU64,
    /// The reader has waited for the client since the last request began.
    has_waited: AtomicBool,
}

impl Connection {
    /// A client that has closed its sending side still gets its answer. To the server it looks like a client that is
    /// gone, whose call is otherwise cut off. A sidecar cuts calls off in this way, and must not be misunderstood. So
    /// behind a sidecar other clients on its machine get no answer, either: nothing distinguishes them from it.
    pub(super) fn may_half_close(&self) -> bool {
        !self.of_sidecar
    }

    /// A request is handled until this is dropped, with the answer's body.
    pub(super) fn handle(self: &Arc<Self>) -> Handled {
        self.activity.requests.fetch_add(1, Ordering::Relaxed);
        self.activity.handled.fetch_add(1, Ordering::Relaxed);
        Handled(self.clone())
    }

    /// A body arrives until this is dropped.
    pub(super) fn receive(self: &Arc<Self>) -> Received {
        self.activity.received.fetch_add(1, Ordering::Relaxed);
        Received(self.clone())
    }
}

impl CurrentHead {
    /// Counts dropped lines.
    pub(super) fn cut(&self, lines: usize) {
        self.cut_lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// Ends the head. Returns the number of its dropped lines.
    pub(super) fn take_cut(&self) -> usize {
        self.cut_lines.swap(0, Ordering::Relaxed)
    }

    /// The permit of a large head.
    pub(super) fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.permit.lock()
    }
}

impl Activity {
    /// A connection that has been idle for so many milliseconds since the start.
    pub(super) fn new(start: Instant, idle_since: u64) -> Activity {
        Activity {
            start,
            requests: AtomicU64::new(0),
            handled: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            is_unsent: AtomicBool::new(false),
            idle_since: AtomicU64::new(idle_since),
            has_waited: AtomicBool::new(true),
        }
    }

    /// No request is being handled, and all answers are written. The rest of an unwanted body may still be arriving.
    pub(super) fn is_idle(&self) -> bool {
        self.handled.load(Ordering::Acquire) == 0 && !self.is_unsent.load(Ordering::Acquire)
    }

    /// When it became idle, in milliseconds since the start.
    pub(super) fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    /// The time since which it has been waiting for the head of a request.
    pub(super) fn waits_for_head_since(&self) -> Option<Instant> {
        let waits = self.is_idle() && self.reads_head();
        waits.then(|| self.start + Duration::from_millis(self.idle_since()))
    }

    /// Requests whose heads have arrived.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns `true` if the head of a request is arriving.
    pub(super) fn reads_head(&self) -> bool {
        self.handled.load(Ordering::Relaxed) == 0 && self.received.load(Ordering::Relaxed) == 0
    }

    /// Everything in hyper's buffer is written.
    pub(super) fn sent(&self) {
        if self.is_unsent.load(Ordering::Relaxed) {
            self.rests();
            self.is_unsent.store(false, Ordering::Release);
        }
    }

    fn rests(&self) {
        self.idle_since.store(millis(self.start.elapsed()), Ordering::Relaxed);
    }

    /// The reader waits for the client.
    pub(super) fn note_wait(&self) {
        self.has_waited.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the request that begins was there before the previous one had its answer.
    pub(super) fn is_pipelined(&self) -> bool {
        !self.has_waited.swap(false, Ordering::Relaxed)
    }
}

/// See [`Connection::handle`].
pub(super) struct Handled(Arc<Connection>);

impl Drop for Handled {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        activity.is_unsent.store(true, Ordering::Relaxed);
        activity.handled.fetch_sub(1, Ordering::Release);
    }
}

/// See [`Connection::receive`].
pub(super) struct Received(Arc<Connection>);

impl Drop for Received {
    fn drop(&mut self) {
        let activity = &self.0.activity;
        activity.rests();
        activity.received.fetch_sub(1, Ordering::Relaxed);
    }
}
