//! The threads on which guests run, and the turns that are polled on them.
//!
//! A turn is a future, and gives its thread back when it waits for something or when the epoch ends its slice. Then the
//! thread takes the next one from the [`FairQueue`]. The kernel shares the processors between these threads and those
//! that serve HTTP, and not among guests.
//!
//! A thread that finds nothing sleeps, and is woken by one that adds a turn. At most one is on its way at a time: it
//! wakes the next one if there is more to do. So turns that come together need few system calls.
//!
//! If no thread is free, and a turn of a type comes that has a better claim than one that runs, the guests are
//! interrupted at once, rather than at the end of their slice. A type that uses little is then hardly delayed by one
//! that uses everything.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use daca_base::shares::fair_queue::{FairQueue, Share, Use};
use daca_base::task;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::actor_use::ActorUse;
use crate::thread_clock::Stretch;

/// What a turn that runs counts for until its time is known, in nanoseconds: about the longest time between two
/// interruptions.
const SLICE: u64 = 5_000_000;
/// The slice after which a turn may be interrupted for another type. Most turns end or wait before, and to interrupt
/// those would cost more than to wait for them.
const SHORT_SLICE: Duration = Duration::from_micros(50);

/// A [`Task`] waits for its waker.
const WAITS: u8 = 0;
/// It is in the queue.
const QUEUED: u8 = 1;
/// A thread polls it.
const RUNS: u8 = 2;
/// The same, and it was woken meanwhile.
const RUNS_AGAIN: u8 = 3;
/// Its future is gone.
const ENDED: u8 = 4;

/// The future of a turn.
pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads, and the turns that they run.
pub(super) struct Pool {
    state: Mutex<State>,
    runnable: Condvar,
    /// Ends the slices of all guests that run.
    interrupt: Box<dyn Fn() + Send + Sync>,
}

struct State {
    queue: FairQueue<Arc<Task>>,
    /// Threads that sleep.
    sleeping: usize,
    /// One of them was woken, and has not looked yet.
    is_waking: bool,
    /// What each thread runs.
    slices: Vec<Option<Slice>>,
    is_closed: bool,
}

/// A turn that runs.
struct Slice {
    share: Share,
    since: Instant,
    /// The turn has used up its last slice, so this one will be long, too.
    is_long: bool,
    /// It was or will be interrupted.
    is_asked: bool,
}

/// A turn that a thread has polled.
struct Polled {
    share: Share,
    nanos: u64,
    ended: Instant,
    /// The turn, if it wants to go on.
    again: Option<Arc<Task>>,
}

/// A turn, as a task of the pool.
struct Task {
    pool: Arc<Pool>,
    share: Share,
    /// What its actor has used.
    used: ActorUse,
    state: AtomicU8,
    /// It wanted to go on when it was last polled.
    goes_on: AtomicBool,
    /// `None` once it has ended. The lock is never waited for: only the thread that took the turn from the queue polls.
    work: Mutex<Option<TaskFuture>>,
}

impl Pool {
    /// Starts so many threads, so much nicer, within the runtime of the caller: its timers and sockets wake the turns.
    pub(super) fn start(
        threads: usize,
        nice: u8,
        weights: &[u32],
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Arc<Pool>> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let state = State {
            queue: FairQueue::new(weights, SLICE),
            sleeping: 0,
            is_waking: false,
            slices: (0..threads).map(|_| None).collect(),
            is_closed: false,
        };
        let interrupt = Box::new(interrupt);
        let pool = Arc::new(Pool { state: Mutex::new(state), runnable: Condvar::new(), interrupt });
        for number in 0..threads {
            let (of, runtime) = (pool.clone(), runtime.clone());
            let thread = std::thread::Builder::new().name(format!("guest-{number}"));
            let run = move || task::lasting_thread("guests", || of.run_thread(number, nice, &runtime));
            if let Err(error) = thread.spawn(run) {
                pool.close();
                return Err(error);
            }
        }
        Ok(pool)
    }

    /// Adds a turn of the actor whose use this is.
    pub(super) fn spawn(self: &Arc<Pool>, share: Share, used: ActorUse, work: TaskFuture) {
        let (state, goes_on) = (AtomicU8::new(QUEUED), AtomicBool::new(false));
        let work = Mutex::new(Some(work));
        self.push(share, Arc::new(Task { pool: self.clone(), share, used, state, goes_on, work }));
    }

    /// Runs no more turns. Those that run end with their slice.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let left = state.queue.take_all();
        drop(state);
        self.runnable.notify_all();
        drop(left);
    }

    /// What a type has of the processors.
    pub(super) fn usage(&self, share: Share) -> Use {
        self.state.lock().queue.usage(share)
    }

    fn push(&self, share: Share, turn: Arc<Task>) {
        let mut state = self.state.lock();
        if state.is_closed {
            // Before the turn is dropped, whose end may wake another one.
            drop(state);
            return;
        }
        state.queue.push(share, turn);
        let wakes = state.calls_a_thread();
        let interrupts = state.sleeping == 0 && state.asks_to_give_way(share);
        drop(state);
        if wakes {
            self.runnable.notify_one();
        } else if interrupts {
            (self.interrupt)();
        }
    }

    fn run_thread(&self, number: usize, nice: u8, runtime: &Handle) {
        let _runtime = runtime.enter();
        self.count_lost_turn(number);
        super::kernel::give_way(nice);
        let mut polled = None;
        while let Some((share, turn, since)) = self.next(number, polled.take()) {
            let stretch = Stretch::begin(since);
            let goes_on = turn.poll();
            let ended = Instant::now();
            let nanos = stretch.ran(ended);
            turn.used.ran(nanos);
            polled = Some(Polled { share, nanos, ended, again: goes_on.then_some(turn) });
        }
    }

    /// A thread that begins again has panicked beside the work of a turn. That turn is gone, and runs no more.
    fn count_lost_turn(&self, number: usize) {
        let mut state = self.state.lock();
        if let Some(slice) = state.slices[number].take() {
            state.queue.ended(slice.share, 0);
        }
    }

    /// Gives back what a thread has polled, and waits for its next turn, which begins at the time that is returned. `None`
    /// when there are no more.
    fn next(&self, number: usize, polled: Option<Polled>) -> Option<(Share, Arc<Task>, Instant)> {
        // A turn that is there begins when the last one has ended: to look at the clock costs as much as to take it.
        let mut now = polled.as_ref().map(|polled| polled.ended);
        let mut state = self.state.lock();
        if state.is_closed {
            // Before the turn is dropped.
            drop(state);
            return None;
        }
        if let Some(Polled { share, nanos, again, .. }) = polled {
            if let Some(turn) = again {
                state.queue.push(share, turn);
            }
            state.queue.ended(share, nanos);
        }
        state.slices[number] = None;
        while !state.is_closed {
            if let Some((share, turn)) = state.queue.pop() {
                let since = now.unwrap_or_else(Instant::now);
                let is_long = turn.goes_on.load(Ordering::Relaxed);
                state.slices[number] = Some(Slice { share, since, is_long, is_asked: false });
                let wakes = state.calls_a_thread();
                drop(state);
                if wakes {
                    self.runnable.notify_one();
                }
                return Some((share, turn, since));
            }
            now = None;
            state.sleeping += 1;
            self.runnable.wait(&mut state);
            state.sleeping -= 1;
            state.is_waking = false;
        }
        None
    }
}

impl State {
    /// Returns `true` if a thread must be woken for the turns that wait.
    fn calls_a_thread(&mut self) -> bool {
        let calls = self.queue.waiting() > 0 && self.sleeping > 0 && !self.is_waking;
        self.is_waking |= calls;
        calls
    }

    /// Returns `true` if a turn of this type is to run before one that runs and takes long. Each is asked once.
    fn asks_to_give_way(&mut self, share: Share) -> bool {
        let State { queue, slices, .. } = self;
        if slices.iter().flatten().all(|slice| slice.share == share) {
            return false;
        }
        let (now, mut asks) = (Instant::now(), false);
        for slice in slices.iter_mut().flatten() {
            let is_worse = slice.share != share && queue.goes_before(share, slice.share);
            let is_long = slice.is_long || now.saturating_duration_since(slice.since) >= SHORT_SLICE;
            if is_worse && is_long && !slice.is_asked {
                slice.is_asked = true;
                asks = true;
            }
        }
        asks
    }
}

impl Task {
    /// Polls it. Returns `true` if it was woken meanwhile: its slice is over, and it goes on.
    fn poll(self: &Arc<Task>) -> bool {
        // Exchanged, and not only written: what happened before each call of the waker is seen from here on.
        self.state.swap(RUNS, Ordering::AcqRel);
        let waker = Waker::from(self.clone());
        let mut work = self.work.lock();
        let Some(future) = work.as_mut() else { return false };
        let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        // Of a panic the hook has made a line in the log, and whoever waits for the turn learns that it is gone.
        if matches!(catch_unwind(poll), Ok(Poll::Pending)) {
            drop(work);
            return self.end_slice();
        }
        self.state.store(ENDED, Ordering::Release);
        let ended = work.take();
        drop(work);
        catch_unwind(AssertUnwindSafe(|| drop(ended))).ok();
        false
    }

    /// Ends a slice. Returns `true` if it was woken meanwhile, and `false` if it waits.
    fn end_slice(&self) -> bool {
        // Before it waits: from then on another thread may have it.
        self.goes_on.store(false, Ordering::Relaxed);
        if self.state.compare_exchange(RUNS, WAITS, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return false;
        }
        self.goes_on.store(true, Ordering::Relaxed);
        self.state.swap(QUEUED, Ordering::AcqRel);
        true
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| match state {
            WAITS | QUEUED => Some(QUEUED),
            RUNS | RUNS_AGAIN => Some(RUNS_AGAIN),
            _ => None,
        };
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken);
        if before == Ok(WAITS) {
            self.pool.push(self.share, self.clone());
        }
    }
}

#[cfg(test)]
mod tests;
