//! What all handles to a budget and all reservations share.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{OnceLock, Weak};

use super::account::{Account, AccountId, MemoryKind, total_of};
use super::givers::Givers;
use super::line::{Line, Lines};
use super::parts::Parts;
use super::permission::Permission;
use super::refused::Refused;
use super::small_bodies::SmallBodies;
use crate::shares::{HeldBack, Weights};
use crate::waiters::Waiters;

/// The most idle things that are given up for one request.
const MAX_RECLAIMED: usize = 1_024;
/// The part of the budget, as a divisor, that stays for reservations, whatever is measured: a host in which nothing fits
/// serves nobody.
const MIN_PART_DIVISOR: u64 = 4;
/// The part, as a divisor, of what there is that is kept free for others at most: somewhat more than all that is divided
/// in advance.
const MAX_DIVIDED_DIVISOR: u64 = 3;

/// Gives up what is idle.
pub trait Reclaim: Send + Sync {
    /// Gives up one idle thing of these agent types: what costs least to make again, and was used longest ago. Returns
    /// `false` if nothing of theirs is idle. Called by whoever needs memory, so it must be quick, and must not wait.
    fn reclaim(&self, givers: &Givers<'_>) -> bool;

    /// The bytes that [`Reclaim::reclaim`] gives up: of each type those of all its idle things, but not more than
    /// [`Givers::most`]. Idle things that are given up at the same time still count.
    fn idle_bytes(&self, givers: &Givers<'_>) -> u64;
}

/// What all handles and reservations share.
pub(super) struct Shared {
    pub(super) limit: u64,
    /// The sum of all accounts.
    pub(super) used: AtomicU64,
    pub(super) process: ProcessSize,
    /// The first one is the host's own, the others are those of the agent types.
    pub(super) accounts: Vec<Account>,
    /// How the agent types divide the budget.
    pub(super) parts: Parts,
    pub(super) reclaim: OnceLock<Weak<dyn Reclaim>>,
    /// To go beyond the budget.
    pub(super) permission: Permission,
    pub(super) small_bodies: SmallBodies,
    /// For each account, those who wait.
    lines: Vec<Lines>,
    /// Those of all lines.
    pub(super) waiting: Waiters,
    pub(super) reclaimed: AtomicU64,
    /// For each account.
    refused: Vec<Refused>,
}

/// The process when it was last measured.
#[derive(Debug, Default)]
pub(super) struct ProcessSize {
    pub(super) resident: AtomicU64,
    /// What it had beyond the sum of all accounts.
    pub(super) rest: AtomicU64,
}

impl Shared {
    /// A budget of so many bytes, with an account for each of the agent types.
    pub(super) fn new(limit: u64, weights: &Weights) -> Shared {
        let parts = Parts::new(limit, weights);
        Shared {
            limit,
            used: AtomicU64::new(0),
            process: ProcessSize::default(),
            accounts: (0..parts.accounts()).map(|_| Account::default()).collect(),
            lines: (0..parts.accounts()).map(|_| Lines::default()).collect(),
            refused: (0..parts.accounts()).map(|_| Refused::default()).collect(),
            small_bodies: SmallBodies::new(parts.for_bodies),
            permission: Permission::new(parts.accounts()),
            parts,
            reclaim: OnceLock::new(),
            waiting: Waiters::default(),
            reclaimed: AtomicU64::new(0),
        }
    }

    /// The bytes that an account has.
    pub(super) fn used_by(&self, number: u32) -> u64 {
        total_of(&self.accounts, number)
    }

    /// Returns `true` if so much more is beyond the share of an account. One thing at a time is not, however large it is.
    fn is_beyond(&self, number: u32, more: u64) -> bool {
        let used = self.used_by(number);
        used > 0 && used.saturating_add(more) > self.parts.share(number)
    }

    /// Returns `true` if an account comes after an agent type that waits for something within its share.
    pub(super) fn yields(&self, account: AccountId, more: u64) -> bool {
        let waits_within = |(number, lines): (u32, &Lines)| {
            let is_within = |wanted: u64| !self.is_beyond(number, wanted);
            number != account.number && lines.wanted().is_some_and(is_within)
        };
        self.waiting.any()
            && self.is_beyond(account.number, more)
            && (1..).zip(self.lines.iter().skip(1)).any(waits_within)
    }

    /// The agent types whose turns wait with as good a claim as an account that wants so much more: who is within its share
    /// comes before one beyond it.
    pub(super) fn rivals(&self, account: AccountId, more: u64) -> impl Iterator<Item = u32> {
        let is_beyond = self.is_beyond(account.number, more);
        let is_rival = move |number: u32, lines: &Lines| {
            let is_as_good = |wanted: u64| is_beyond || !self.is_beyond(number, wanted);
            number != account.number && lines.turns.wanted().is_some_and(is_as_good)
        };
        let others = (1..).zip(self.lines.iter().skip(1));
        others.filter(move |(number, lines)| is_rival(*number, lines)).map(|(number, _)| number)
    }

    /// What is kept free of others' reservations: the parts of the floors that their agent types do not use, and what small
    /// bodies of no type leave of their part.
    fn kept_free(&self, account: AccountId) -> u64 {
        let others = self.parts.floors().filter(|(number, _)| *number != account.number);
        let unused = others.map(|(number, floor)| floor.saturating_sub(self.used_by(number)));
        unused.fold(self.small_bodies.unused(), u64::saturating_add)
    }

    /// The sum up to which this reservation may go.
    fn most(&self, account: AccountId) -> u64 {
        let ceiling = self.ceiling(account.kind);
        // What is divided in advance is a part of what is there: on a small host, of little.
        ceiling.saturating_sub(self.kept_free(account).min(ceiling / MAX_DIVIDED_DIVISOR))
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
        // Most of the time there is room even with all floors unused.
        let sure = self.ceiling(account.kind).saturating_sub(self.parts.divided);
        let is_room = |after: &u64| *after <= sure || *after <= self.most(account);
        let after = |used: u64| used.checked_add(more).filter(is_room);
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

    /// Adds to an account if it is within its floor with it, whatever others have.
    pub(super) fn take_of_floor(&self, account: AccountId, more: u64) -> bool {
        let floor = self.parts.floor(account.number);
        if self.used_by(account.number).saturating_add(more) > floor {
            return false;
        }
        // Threads of one type come here at the same time. Each adds before it looks, so the last one sees them all.
        self.add(account, more);
        fence(Ordering::SeqCst);
        let is_within = self.used_by(account.number) <= floor;
        if !is_within {
            // Nobody is woken: nothing was freed.
            self.take_off(account, more);
        }
        is_within
    }

    pub(super) fn subtract(&self, account: AccountId, less: u64) {
        if less == 0 {
            return;
        }
        self.take_off(account, less);
        self.freed();
    }

    fn take_off(&self, account: AccountId, less: u64) {
        self.note(account, |bytes| bytes.fetch_sub(less, Ordering::Relaxed));
        self.used.fetch_sub(less, Ordering::AcqRel);
    }

    fn note(&self, account: AccountId, change: impl FnOnce(&AtomicU64) -> u64) {
        if let Some(one) = self.accounts.get(account.number as usize) {
            change(one.bytes(account.kind));
        }
    }

    /// Gives up idle things until the account has been added to. None at all, if not even all of them would be enough.
    pub(super) fn take_from_idle(&self, account: AccountId, more: u64) -> bool {
        let Some(reclaim) = self.reclaim.get().and_then(Weak::upgrade) else { return false };
        let givers = Givers::to(account.number, &self.parts, &self.accounts);
        // Before the sum is read: what is given up in between may then count as idle, and never as in use.
        let idle = reclaim.idle_bytes(&givers);
        let in_use = self.used.load(Ordering::Acquire).saturating_sub(idle);
        if in_use.saturating_add(more) > self.most(account) {
            return false;
        }
        drop(reclaim);
        for _ in 0..MAX_RECLAIMED {
            if !self.reclaim_one(&givers) {
                return false;
            }
            if self.take(account, more) {
                return true;
            }
        }
        false
    }

    /// Gives up idle things, for an account, until so many bytes are gone, or nothing is idle.
    pub(super) fn evict(&self, account: u32, bytes: u64) {
        let givers = Givers::to(account, &self.parts, &self.accounts);
        let before = self.used.load(Ordering::Relaxed);
        for _ in 0..MAX_RECLAIMED {
            let gone = before.saturating_sub(self.used.load(Ordering::Relaxed));
            if gone >= bytes || !self.reclaim_one(&givers) {
                return;
            }
        }
    }

    fn reclaim_one(&self, givers: &Givers<'_>) -> bool {
        let reclaim = self.reclaim.get().and_then(Weak::upgrade);
        let is_evicted = reclaim.is_some_and(|reclaim| reclaim.reclaim(givers));
        if is_evicted {
            self.reclaimed.fetch_add(1, Ordering::Relaxed);
        }
        is_evicted
    }

    /// The line in which an account waits.
    pub(super) fn line(&self, account: AccountId) -> &Line {
        self.lines_of(account.number).of(account.kind)
    }

    fn lines_of(&self, number: u32) -> &Lines {
        // There is one for each account.
        &self.lines[number as usize]
    }

    /// Returns `true` if a turn waits for what a body must not take: one of the body's own agent type, or any one if the body
    /// is of none.
    pub(super) fn is_for_turns(&self, body: AccountId) -> bool {
        let waits = |lines: &Lines| lines.turns.waiters.any();
        self.waiting.any()
            && match body.number {
                0 => self.lines.iter().any(waits),
                number => waits(self.lines_of(number)),
            }
    }

    /// Wakes the first one of each line.
    pub(super) fn freed(&self) {
        if self.waiting.any() {
            self.lines.iter().for_each(Lines::freed);
        }
    }

    /// What was refused to an account.
    pub(super) fn refused(&self, number: u32) -> &Refused {
        // There is one for each account.
        &self.refused[number as usize]
    }

    /// What the log is to be told of an agent type that waits for so much more, or was refused it: once in a while, if that
    /// is beyond its share.
    pub(super) fn held_back(&self, AccountId { number, .. }: AccountId, more: u64) -> Option<HeldBack> {
        let agent_type = self.parts.type_of(number)?;
        if !self.parts.is_divided() || !self.is_beyond(number, more) || !self.refused(number).is_due() {
            return None;
        }
        let shown = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Some(HeldBack {
            agent_type: agent_type.clone(),
            pool: "bytes of memory",
            used: shown(self.used_by(number)),
            share: shown(self.parts.share(number)),
            capacity: shown(self.limit),
            is_beyond: true,
        })
    }
}
