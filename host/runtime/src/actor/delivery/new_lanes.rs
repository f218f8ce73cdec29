//! The lanes that begin with the effects of a turn. They leave once the caller has its answer, for which it need not wait
//! for them: that is on its way to another thread meanwhile.

use std::cell::Cell;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::runtime::Handle;

use super::shared::Shared;

/// Lanes that have not begun. Dropped, they begin in a task.
#[must_use]
pub(in crate::actor) struct NewLanes {
    shared: Arc<Shared>,
    agent_type: Arc<str>,
    lanes: Vec<BoxFuture<'static, ()>>,
}

impl NewLanes {
    /// `None` if there are none.
    pub(super) fn of(
        shared: &Arc<Shared>,
        agent_type: &Arc<str>,
        lanes: Vec<BoxFuture<'static, ()>>,
    ) -> Option<NewLanes> {
        if lanes.is_empty() {
            return None;
        }
        Some(NewLanes { shared: shared.clone(), agent_type: agent_type.clone(), lanes })
    }

    /// They begin. What leaves at once does so on this thread.
    pub(in crate::actor) fn leave(mut self) {
        // The turn still has its own place. If that was the last one, what its effects lead to would be refused.
        let turns = self.shared.host.turns.get();
        if turns.is_none_or(|turns| turns.has_room(&self.agent_type, 1)) {
            leave_at_once(&mut self.lanes);
        }
    }
}

impl Drop for NewLanes {
    fn drop(&mut self) {
        // Without a runtime the host ends. The effects lie in their actors' state.
        if let Ok(runtime) = Handle::try_current() {
            go_on(&runtime, std::mem::take(&mut self.lanes));
        }
    }
}

thread_local! {
    /// This thread polls lanes for the first time right now.
    static LEAVES_AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// Polls new lanes once, and keeps those that have to wait. What leaves at once needs no task, and no other thread that is
/// woken for it. The task of the others polls them again, so they know whom to wake.
///
/// An effect may lead to a turn whose effects lead to further turns, without an end: those get tasks of their own, or the
/// stack would be as deep as they are many.
fn leave_at_once(lanes: &mut Vec<BoxFuture<'static, ()>>) {
    if !LEAVES_AT_ONCE.replace(true) {
        let _leaving = Leaving;
        lanes.retain_mut(|lane| lane.as_mut().now_or_never().is_none());
    }
}

/// Lanes are polled for the first time until this is dropped, even by a panic: the thread does it for other turns, too.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        LEAVES_AT_ONCE.set(false);
    }
}

/// Runs lanes in one task, side by side.
fn go_on(runtime: &Handle, lanes: Vec<BoxFuture<'static, ()>>) {
    if !lanes.is_empty() {
        runtime.spawn(join_all(lanes));
    }
}
