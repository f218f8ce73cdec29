//! A pool that the agent types share, with permits.
//!
//! One short lock guards it, without waits and without I/O. A semaphore would take one as well, each time that a permit
//! is returned.

mod counted;
mod soon;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::held_back::Refusals;
use super::ledger::Ledger;
use super::slack::Slack;
use super::{HeldBack, ShareUse, Weights};

/// A pool that the agent types of a host share by their weights. A cheap handle.
#[derive(Clone)]
pub struct SharedPool {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    slack: Arc<Slack>,
    books: Mutex<Books>,
}

/// A part of a pool, which returns there when this is dropped.
#[must_use]
pub struct SharePermit {
    pool: Arc<Inner>,
    slot: usize,
    amount: usize,
}

struct Books {
    ledger: Ledger,
    /// For each slot of the ledger.
    lines: Vec<Line>,
    next_number: u64,
    /// The waiters of all lines.
    waiting: usize,
}

/// Those of one type that wait, in order, and what was refused to it.
#[derive(Default)]
struct Line {
    waiters: BTreeMap<u64, Waiter>,
    refusals: Refusals,
}

struct Waiter {
    amount: usize,
    granted: oneshot::Sender<SharePermit>,
}

/// Permits for waiters, to be handed over without the lock.
type Granted = Vec<(oneshot::Sender<SharePermit>, SharePermit)>;

impl SharedPool {
    /// `name` is what it has, in the plural, for people.
    pub fn new(name: &'static str, capacity: usize, weights: &Weights) -> SharedPool {
        let ledger = Ledger::new(capacity, weights);
        let slack = ledger.slack.clone();
        let lines = ledger.slots().iter().map(|_| Line::default()).collect();
        let books = Books { ledger, lines, next_number: 0, waiting: 0 };
        SharedPool { inner: Arc::new(Inner { name, slack, books: Mutex::new(books) }) }
    }

    /// The name of what it has, in the plural, for people.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// How much of it there is.
    pub fn capacity(&self) -> usize {
        self.inner.lock().ledger.capacity
    }

    /// How much of it is in use.
    pub fn used(&self) -> usize {
        self.inner.slack.used()
    }

    /// How much of it a type has.
    pub fn used_by(&self, agent_type: &str) -> usize {
        let books = self.inner.lock();
        books.ledger.slot(books.ledger.slot_of(agent_type)).used
    }

    /// What each type has of it.
    pub fn uses(&self) -> Vec<ShareUse> {
        let books = self.inner.lock();
        let slots = books.ledger.slots().iter().zip(&books.lines).enumerate();
        let known = slots.take(books.lines.len() - 1);
        let of_slot = known.map(|(number, (slot, line))| {
            ShareUse::of(slot, books.ledger.most(number), line.waiters.len(), &line.refusals)
        });
        of_slot.collect()
    }

    /// Takes a part at once, or not at all. More than a type can have counts as the most that it can have.
    pub fn try_acquire(&self, agent_type: &str, amount: usize) -> Result<SharePermit, HeldBack> {
        let (slot, amount) = self.inner.take(agent_type, amount)?;
        Ok(SharePermit { pool: self.inner.clone(), slot, amount })
    }

    /// Takes a part if nobody waits and there is room: for those who can wait, or make room, and are not held back yet.
    pub fn try_now(&self, agent_type: &str, amount: usize) -> Option<SharePermit> {
        let mut books = self.inner.lock();
        let (slot, amount) = books.take_now(agent_type, amount).ok()?;
        drop(books);
        Some(SharePermit { pool: self.inner.clone(), slot, amount })
    }

    /// Returns `true` if there is room for a type, whoever waits.
    pub fn has_room(&self, agent_type: &str, amount: usize) -> bool {
        if self.inner.slack.has_room(amount) {
            return true;
        }
        let books = self.inner.lock();
        let slot = books.ledger.slot_of(agent_type);
        books.ledger.has_room(slot, amount.min(books.ledger.most(slot)), 1)
    }

    /// The type of those that wait which is served next.
    pub fn next_waiting(&self) -> Option<Arc<str>> {
        let books = self.inner.lock();
        let (slot, _) = books.first_in_line()?;
        Some(books.ledger.slot(slot).agent_type.clone())
    }

    /// Uses up a part for good. [`SharedPool::renew`] begins anew.
    pub(super) fn use_up(&self, agent_type: &str, amount: usize) -> Result<(), HeldBack> {
        self.inner.take(agent_type, amount).map(drop)
    }

    /// Releases all that was taken.
    pub(super) fn renew(&self) {
        self.inner.lock().ledger.clear();
    }

    /// Waits for a part. Those of one type are served in order, and a type with less than its share before one with more.
    pub async fn acquire(&self, agent_type: &str, amount: usize) -> SharePermit {
        let (slot, number, granted) = match self.inner.begin(agent_type, amount) {
            Begun::Taken(slot, amount) => {
                return SharePermit { pool: self.inner.clone(), slot, amount };
            }
            Begun::Waits { slot, number, granted } => (slot, number, granted),
        };
        let _waiting = Waiting { pool: &self.inner, slot, number };
        match granted.await {
            Ok(permit) => permit,
            // The pool drops no waiter.
            Err(_) => self.charge(agent_type, amount),
        }
    }

    /// The types that have more of it for their weight than another, or as much, and more than their floors; that one
    /// itself is among them. Those with the most for their weights come first: what is unused is taken from them.
    pub fn givers(&self, for_type: &str) -> Vec<Arc<str>> {
        let books = self.inner.lock();
        let ledger = &books.ledger;
        let own = ledger.slot_of(for_type);
        let above_floor = |number: &usize| {
            let slot = ledger.slot(*number);
            *number == own || slot.used > slot.floor
        };
        let mut givers = (0..ledger.slots().len()).filter(above_floor).collect::<Vec<_>>();
        givers.sort_by(|a, b| ledger.by_use(*b, *a));
        givers.into_iter().map(|number| ledger.slot(number).agent_type.clone()).collect()
    }
}

/// How a wait for a part began.
enum Begun {
    Taken(usize, usize),
    Waits { slot: usize, number: u64, granted: oneshot::Receiver<SharePermit> },
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock()
    }

    fn take(&self, agent_type: &str, amount: usize) -> Result<(usize, usize), HeldBack> {
        let mut books = self.lock();
        let slot = books.ledger.slot_of(agent_type);
        let amount = amount.min(books.ledger.most(slot));
        if books.take(slot, amount) {
            return Ok((slot, amount));
        }
        self.refuse(books, slot, amount).map(|()| (slot, amount))
    }

    /// Counts a refusal, and returns it.
    fn refuse(&self, mut books: MutexGuard<'_, Books>, slot: usize, amount: usize) -> Result<(), HeldBack> {
        let is_within = !books.ledger.is_beyond(slot, amount);
        // What is used up altogether is refused to all, whatever their shares.
        let is_left = books.ledger.used().saturating_add(amount) <= books.ledger.capacity;
        let is_beyond = books.ledger.is_divided() && !is_within && is_left;
        let is_due = books.lines[slot].refusals.count(is_beyond, is_within);
        let of = books.ledger.slot(slot);
        let held_back = HeldBack {
            agent_type: of.agent_type.clone(),
            pool: self.name,
            used: of.used,
            share: of.share,
            capacity: books.ledger.capacity,
            is_beyond,
        };
        drop(books);
        if is_due {
            held_back.log();
        }
        Err(held_back)
    }

    fn begin(self: &Arc<Self>, agent_type: &str, amount: usize) -> Begun {
        let mut books = self.lock();
        let (slot, amount) = match books.take_now(agent_type, amount) {
            Ok((slot, amount)) => return Begun::Taken(slot, amount),
            Err(wanted) => wanted,
        };
        let (sender, granted) = oneshot::channel();
        let number = books.next_number;
        books.next_number += 1;
        books.lines[slot].waiters.insert(number, Waiter { amount, granted: sender });
        books.waiting += 1;
        let ready = books.grant(self);
        if books.lines[slot].waiters.contains_key(&number) {
            // The refusal that it counts is of no use to the waiter.
            self.refuse(books, slot, amount).ok();
        } else {
            drop(books);
        }
        hand_over(ready);
        Begun::Waits { slot, number, granted }
    }
}

impl Books {
    /// Takes a part if nobody waits and there is room. The error is the slot, and what it wants of the pool.
    fn take_now(&mut self, agent_type: &str, amount: usize) -> Result<(usize, usize), (usize, usize)> {
        let slot = self.ledger.slot_of(agent_type);
        let wanted = (slot, amount.min(self.ledger.most(slot)));
        if self.waiting > 0 || !self.ledger.has_room(wanted.0, wanted.1, 1) {
            return Err(wanted);
        }
        self.ledger.add(wanted.0, wanted.1);
        Ok(wanted)
    }

    /// Takes a part, unless there is no room or others come first.
    fn take(&mut self, slot: usize, amount: usize) -> bool {
        let is_first = self.lines[slot].waiters.is_empty();
        let takes = is_first && self.ledger.has_room(slot, amount, 1) && !self.yields(slot, amount);
        if takes {
            self.ledger.add(slot, amount);
        }
        takes
    }

    /// Returns `true` if a type would exceed its share while others wait for something within theirs, or were just
    /// refused it.
    fn yields(&self, slot: usize, amount: usize) -> bool {
        self.ledger.is_beyond(slot, amount)
            && self.lines.iter().enumerate().any(|(number, line)| {
                let wants = line.waiters.first_key_value().map(|(_, waiter)| waiter.amount);
                number != slot
                    && (wants.is_some() || line.refusals.is_wanted())
                    && !self.ledger.is_beyond(number, wants.unwrap_or(1))
            })
    }

    /// Takes the waiters that are served now out of their lines.
    fn grant(&mut self, pool: &Arc<Inner>) -> Granted {
        let mut granted = Granted::new();
        while self.waiting > 0
            && let Some(slot) = self.next_served()
            && let Some((_, waiter)) = self.lines[slot].waiters.pop_first()
        {
            self.waiting -= 1;
            self.ledger.add(slot, waiter.amount);
            let permit = SharePermit { pool: pool.clone(), slot, amount: waiter.amount };
            granted.push((waiter.granted, permit));
        }
        granted
    }

    /// The type whose first waiter is served now. If there is no room for the one that comes next, the others wait, too: a
    /// large request would otherwise wait for ever.
    fn next_served(&self) -> Option<usize> {
        let (slot, amount) = self.first_in_line()?;
        self.ledger.has_room(slot, amount, 1).then_some(slot)
    }

    /// The type whose first waiter comes next, and what it wants.
    fn first_in_line(&self) -> Option<(usize, usize)> {
        let first = |(slot, line): (usize, &Line)| {
            let (number, waiter) = line.waiters.first_key_value()?;
            Some((slot, waiter.amount, *number))
        };
        let waiting = self.lines.iter().enumerate().filter_map(first);
        let (slot, amount, _) = waiting.min_by(|a, b| {
            let order = self.ledger.order((a.0, a.1), (b.0, b.1));
            order.then(a.2.cmp(&b.2))
        })?;
        Some((slot, amount))
    }
}

/// A waiter whose future is dropped returns a permit that it got.
fn hand_over(granted: Granted) {
    for (waiter, permit) in granted {
        drop(waiter.send(permit));
    }
}

/// Takes a waiter out of its line when its future ends.
struct Waiting<'a> {
    pool: &'a Arc<Inner>,
    slot: usize,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut books = self.pool.lock();
        if books.lines[self.slot].waiters.remove(&self.number).is_none() {
            return;
        }
        books.waiting -= 1;
        // Others may have waited behind it.
        let granted = books.grant(self.pool);
        drop(books);
        hand_over(granted);
    }
}

impl Drop for SharePermit {
    fn drop(&mut self) {
        let mut books = self.pool.lock();
        books.ledger.remove(self.slot, self.amount);
        let granted = books.grant(&self.pool);
        drop(books);
        hand_over(granted);
    }
}

impl fmt::Debug for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPool").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for SharePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharePermit").field("of", &self.pool.name).field("amount", &self.amount).finish()
    }
}

#[cfg(test)]
impl SharePermit {
    /// What it has of the pool.
    pub(super) fn amount(&self) -> usize {
        self.amount
    }
}

#[cfg(test)]
impl SharedPool {
    /// Looks at its books.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.inner.lock().ledger)
    }
}
