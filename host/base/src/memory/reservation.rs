//! A part of the budget, which is given back when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::account::{AccountId, MemoryKind};
use super::overdraft::Overdraft;
use super::shared::Shared;
use super::small_bodies::SMALL_BODY;

/// How long the first one in a line sleeps at most before it looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// There is no room, and nothing idle that could be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host's budget of memory is used up")]
pub struct MemoryExhausted;

/// A part of the budget.
pub struct Reservation {
    shared: Arc<Shared>,
    account: AccountId,
    bytes: u64,
    /// Those of them that are in the part for small bodies.
    small: u64,
    overdraft: Option<Arc<Overdraft>>,
}

impl Reservation {
    pub(super) fn empty(shared: Arc<Shared>, account: AccountId) -> Reservation {
        Reservation { shared, account, bytes: 0, small: 0, overdraft: None }
    }

    /// An empty one for the same agent type, with the same overdraft.
    pub fn beside(&self, kind: MemoryKind) -> Reservation {
        let account = AccountId { kind, ..self.account };
        let mut beside = Reservation::empty(self.shared.clone(), account);
        beside.overdraft = self.overdraft.clone();
        beside
    }

    /// The bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begins a turn: from now on it may go beyond the budget, if no other turn does. What is made with
    /// [`Reservation::beside`] from now on belongs to the same turn.
    pub fn begin_turn(&mut self) {
        self.overdraft = Some(Arc::new(Overdraft::new(self.shared.clone())));
    }

    /// Ends the turn for this reservation. Another one may go beyond the budget when all of this one's have ended or are
    /// dropped.
    pub fn end_turn(&mut self) {
        self.overdraft = None;
    }

    /// Adds bytes, whether there is room or not: for what is small, or bounded otherwise.
    pub fn grow(&mut self, more: u64) {
        self.shared.add(self.account, more);
        self.bytes += more;
    }

    /// Adds bytes if there is room, if enough of what is idle can be given up, if the agent type is within its floor, or if
    /// this turn may go beyond the budget.
    pub fn try_grow(&mut self, more: u64) -> bool {
        if more == 0 {
            return true;
        }
        if self.overdraft.as_ref().is_some_and(|overdraft| overdraft.is_mine()) {
            self.grow(more);
            return true;
        }
        match self.account.kind {
            MemoryKind::Bodies => self.try_grow_body(more),
            _ => self.take(more),
        }
    }

    /// The same for a body, which comes after turns unless it is small. What counts is its size and not the step: it may
    /// arrive in small pieces.
    fn try_grow_body(&mut self, more: u64) -> bool {
        let shared = &*self.shared;
        if self.bytes.saturating_add(more) <= SMALL_BODY {
            if self.account.is_body_of_host() && shared.small_bodies.take(more) {
                self.small += more;
                self.grow(more);
                return true;
            }
            return self.take(more);
        }
        if shared.is_for_turns(self.account) {
            return false;
        }
        // All of it counts as any other from now on.
        let small = self.small;
        if !self.take(more.saturating_add(small)) {
            return false;
        }
        self.leave_small(small);
        self.shrink(small);
        true
    }

    /// Leaves so much of the part for small bodies.
    fn leave_small(&mut self, less: u64) {
        if less > 0 {
            self.small -= less;
            self.shared.small_bodies.give_back(less);
        }
    }

    /// Adds bytes, unless others come first or there is no room.
    fn take(&mut self, more: u64) -> bool {
        let shared = &*self.shared;
        if shared.yields(self.account, more) {
            return false;
        }
        if shared.take(self.account, more) || shared.take_from_idle(self.account, more) {
            self.bytes += more;
            return true;
        }
        let is_of_floor = shared.take_of_floor(self.account, more);
        let begins = |overdraft: &Arc<Overdraft>| overdraft.begin(self.account, more);
        if !is_of_floor && !self.overdraft.as_ref().is_some_and(begins) {
            return false;
        }
        // What is idle goes, all the same.
        shared.evict(self.account.number, more);
        if is_of_floor {
            self.bytes += more;
        } else {
            self.grow(more);
        }
        true
    }

    /// The same as [`Reservation::try_grow`], and waits at most `timeout` for others to end.
    pub async fn wait_grow(&mut self, more: u64, timeout: Duration) -> Result<(), MemoryExhausted> {
        if self.try_grow(more) {
            return Ok(());
        }
        self.log_held_back(more);
        let shared = self.shared.clone();
        let waited = tokio::time::timeout(timeout, self.wait_in_line(&shared, more)).await;
        waited.map_err(|_elapsed| self.count_refusal())
    }

    async fn wait_in_line(&mut self, shared: &Shared, more: u64) {
        let line = shared.line(self.account);
        let _waiting = (shared.waiting.begin(), line.waiters.begin());
        // It is never closed.
        let _first = line.turnstile.acquire().await;
        line.begin_first(more);
        while !self.try_grow(more) {
            // Whatever was freed, it looks again.
            tokio::time::timeout(POLL_INTERVAL, line.freed.notified()).await.ok();
        }
    }

    /// The same as [`Reservation::try_grow`], and counts a refusal.
    pub fn grow_or_refuse(&mut self, more: u64) -> Result<(), MemoryExhausted> {
        if self.try_grow(more) {
            return Ok(());
        }
        self.log_held_back(more);
        Err(self.count_refusal())
    }

    fn log_held_back(&self, more: u64) {
        if let Some(held_back) = self.shared.held_back(self.account, more) {
            held_back.log();
        }
    }

    fn count_refusal(&self) -> MemoryExhausted {
        self.shared.refused(self.account.number).count();
        MemoryExhausted
    }

    /// Gives bytes back.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        self.leave_small(self.small.saturating_sub(self.bytes));
        self.shared.subtract(self.account, less);
    }

    /// Grows or shrinks to so many bytes, whether there is room or not.
    pub fn set(&mut self, bytes: u64) {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.grow(more),
            None => self.shrink(self.bytes - bytes),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("kind", &self.account.kind)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
