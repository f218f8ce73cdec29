//! What all handles to a budget and all reservations share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::{Notify, Semaphore};

use super::account::{Account, AccountId, MemoryKind};
use crate::waiters::Waiters;

/// The most idle things that are given up for one request.
const MAX_RECLAIMED: usize = 1_024;
/// The part of the budget, as a divisor, that stays for reservations, whatever is measured: a host in which nothing fits
/// serves nobody.
const MIN_PART_DIVISOR: u64 = 4;

/// Gives up what is idle.
pub trait Reclaim: Send + Sync {
    /// Gives up one idle thing: what costs least to make again, and was used longest ago. Returns `false` if nothing is
    /// idle. Called by whoever needs memory, so it must be quick, and must not wait.
    fn reclaim(&self) -> bool;

    /// The bytes that all idle things have, or more: never less, whatever is given up at the same time.
    fn idle_bytes(&self) -> u64;
}

/// What all handles and reservations share.
pub(super) struct Shared {
    pub(super) limit: u64,
    /// The sum of all accounts.
    pub(super) used: AtomicU64,
    pub(super) process: ProcessSize,
    /// The first one is the host's own, the others are those of the agent types.
    pub(super) accounts: Vec<Account>,
    pub(super) names: BTreeMap<Arc<str>, u32>,
    pub(super) reclaim: OnceLock<Weak<dyn Reclaim>>,
    pub(super) is_overdrawn: AtomicBool,
    /// Turns that wait, and bodies, which wait behind them.
    lines: [Line; 2],
    pub(super) reclaimed: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// The process when it was last measured.
#[derive(Debug, Default)]
pub(super) struct ProcessSize {
    pub(super) resident: AtomicU64,
    /// What it had beyond the sum of all accounts.
    pub(super) rest: AtomicU64,
}

/// Those who wait, in the order of their arrival. Only the first one looks for memory.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) turnstile: Semaphore,
    pub(super) freed: Notify,
    pub(super) waiters: Waiters,
}

impl Default for Line {
    fn default() -> Line {
        Line { turnstile: Semaphore::new(1), freed: Notify::new(), waiters: Waiters::default() }
    }
}

impl Shared {
    /// A budget of so many bytes, with an account for each of the agent types.
    pub(super) fn new(limit: u64, agent_types: impl IntoIterator<Item = Arc<str>>) -> Shared {
        let names = agent_types.into_iter().zip(1..).collect::<BTreeMap<Arc<str>, u32>>();
        // A name that is there twice leaves an account without use.
        let most = names.values().max().copied().unwrap_or_default();
        Shared {
            limit,
            used: AtomicU64::new(0),
            process: ProcessSize::default(),
            accounts: (0..=most).map(|_| Account::default()).collect(),
            names,
            reclaim: OnceLock::new(),
            is_overdrawn: AtomicBool::new(false),
            lines: <[Line; 2]>::default(),
            reclaimed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The sum up to which reservations of this kind may go.
    fn ceiling(&self, kind: MemoryKind) -> u64 {
        let rest = self.process.rest.load(Ordering::Relaxed).min(self.limit - self.limit / MIN_PART_DIVISOR);
        // A new instance takes a place that an old one has left warm.
        let warm = match kind {
            MemoryKind::Instances => self.accounts.first().map(|host| host.of(MemoryKind::WarmSlots)),
            _ => None,
        };
        (self.limit - rest).saturating_add(warm.unwrap_or_default())
    }

    /// Adds to an account, if the budget has room.
    pub(super) fn take(&self, account: AccountId, more: u64) -> bool {
        let ceiling = self.ceiling(account.kind);
        let after = |used: u64| used.checked_add(more).filter(|after| *after <= ceiling);
        let is_taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, after).is_ok();
        if is_taken {
            self.note(account, |bytes| bytes.fetch_add(more, Ordering::Relaxed));
        }
        is_taken
    }

    /// Adds to an account, whether there is room or not.
    pub(super) fn add(&self, account: AccountId, more: u64) {
        self.used.fetch_add(more, Ordering::AcqRel);
        self.note(account, |bytes| bytes.fetch_add(more, Ordering::Relaxed));
    }

    pub(super) fn subtract(&self, account: AccountId, less: u64) {
        if less == 0 {
            return;
        }
        self.note(account, |bytes| bytes.fetch_sub(less, Ordering::Relaxed));
        self.used.fetch_sub(less, Ordering::AcqRel);
        self.freed();
    }

    fn note(&self, account: AccountId, change: impl FnOnce(&AtomicU64) -> u64) {
        if let Some(one) = self.accounts.get(account.number as usize) {
            change(one.bytes(account.kind));
        }
    }

    /// Gives up idle things until the account has been added to. None at all, if not even all of them would be enough.
    pub(super) fn take_from_idle(&self, account: AccountId, more: u64) -> bool {
        let Some(reclaim) = self.reclaim.get().and_then(Weak::upgrade) else { return false };
        // Before the sum is read: what is given up in between may then count as idle, and never as in use.
        let idle = reclaim.idle_bytes();
        let in_use = self.used.load(Ordering::Acquire).saturating_sub(idle);
        if in_use.saturating_add(more) > self.ceiling(account.kind) {
            return false;
        }
        drop(reclaim);
        for _ in 0..MAX_RECLAIMED {
            if !self.reclaim_one() {
                return false;
            }
            if self.take(account, more) {
                return true;
            }
        }
        false
    }

    /// Gives up idle things until so many bytes are gone, or nothing is idle.
    pub(super) fn give_up(&self, bytes: u64) {
        let before = self.used.load(Ordering::Relaxed);
        for _ in 0..MAX_RECLAIMED {
            let gone = before.saturating_sub(self.used.load(Ordering::Relaxed));
            if gone >= bytes || !self.reclaim_one() {
                return;
            }
        }
    }

    fn reclaim_one(&self) -> bool {
        let reclaim = self.reclaim.get().and_then(Weak::upgrade);
        let is_given_up = reclaim.is_some_and(|reclaim| reclaim.reclaim());
        if is_given_up {
            self.reclaimed.fetch_add(1, Ordering::Relaxed);
        }
        is_given_up
    }

    /// The line in which reservations of this kind wait.
    pub(super) fn line(&self, kind: MemoryKind) -> &Line {
        let [turns, bodies] = &self.lines;
        if kind == MemoryKind::Bodies { bodies } else { turns }
    }

    /// Returns `true` if a turn waits: a body must not take what it waits for.
    pub(super) fn is_for_turns(&self) -> bool {
        let [turns, _] = &self.lines;
        turns.waiters.any()
    }

    /// Wakes those who wait first.
    pub(super) fn freed(&self) {
        for line in &self.lines {
            if line.waiters.any() {
                line.freed.notify_one();
            }
        }
    }

    /// Counts a refusal.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
