//! A queue that agent types share, such as that of runnable turns or of commits: first the type is chosen, by what its
//! items have cost, then the item that waits longest.
//!
//! Each type has a virtual time: the cost of its items, such as the time of a processor, divided by its weight. The type
//! with the least goes first. This is start-time fair queueing (Goyal, Vin, Cheng 1996), and deals with two things that a
//! plain sum would not. A type that comes back after a pause does not get what it has left unused: it starts at the
//! present virtual time. And several threads may take items at once, whose cost is known only afterwards: an item that
//! runs counts as a guess until then.
//!
//! There are as many types as in the manifest, so they are searched one by one.

use std::collections::VecDeque;

/// A type, by its number in the queue that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub usize);

/// Waiting items by type.
#[derive(Debug)]
pub struct FairQueue<T> {
    types: Vec<TypeQueue<T>>,
    /// What an item that runs counts for until its cost is known.
    guess: u64,
    /// The virtual time of the item that was taken last.
    now: u64,
    waiting: usize,
}

#[derive(Debug)]
struct TypeQueue<T> {
    weight: u64,
    waiting: VecDeque<T>,
    /// Items that run.
    running: u64,
    /// Its virtual time: the cost for a weight of 1.
    time: u64,
    /// What its items have cost.
    used: u64,
}

/// What a type has of a queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// What its items have cost.
    pub used: u64,
    /// The number of its items that wait.
    pub waiting: usize,
}

impl<T> FairQueue<T> {
    /// Empty, with a type for each weight. An item that runs counts as `guess` until its cost is known.
    pub fn new(weights: &[u32], guess: u64) -> FairQueue<T> {
        let types = weights.iter().map(|weight| TypeQueue {
            weight: u64::from(*weight).max(1),
            waiting: VecDeque::new(),
            running: 0,
            time: 0,
            used: 0,
        });
        FairQueue { types: types.collect(), guess, now: 0, waiting: 0 }
    }

    /// Appends an item to those of its type.
    pub fn push(&mut self, share: Share, item: T) {
        let now = self.now;
        let of = self.of(share);
        if of.is_at_rest() {
            of.time = of.time.max(now);
        }
        of.waiting.push_back(item);
        self.waiting += 1;
    }

    /// The next item.
    pub fn first(&self) -> Option<&T> {
        self.types[self.next_type()?].waiting.front()
    }

    /// Takes the next item. [`FairQueue::ended`] must follow.
    pub fn pop(&mut self) -> Option<(Share, T)> {
        let number = self.next_type()?;
        let of = self.of(Share(number));
        let item = of.waiting.pop_front()?;
        of.running += 1;
        let time = of.time;
        self.now = self.now.max(time);
        self.waiting -= 1;
        Some((Share(number), item))
    }

    /// An item that was taken does not run any more, and has cost so much.
    pub fn ended(&mut self, share: Share, cost: u64) {
        let of = self.of(share);
        of.running = of.running.saturating_sub(1);
        of.time = of.time.saturating_add(cost.div_ceil(of.weight));
        of.used = of.used.saturating_add(cost);
    }

    /// Returns `true` if the next item of the first type has a better claim than one of the second that runs.
    pub fn goes_before(&self, first: Share, second: Share) -> bool {
        let rank = |share: Share| self.types.get(share.0).map(|of| of.rank(self.guess));
        rank(first) < rank(second)
    }

    /// The number of items that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What the items of a type have cost, and the number of those that wait.
    pub fn usage(&self, share: Share) -> Use {
        let of = self.types.get(share.0);
        of.map(|of| Use { used: of.used, waiting: of.waiting.len() }).unwrap_or_default()
    }

    /// Gives back the memory of a type that has nothing waiting, apart from so many places.
    pub fn shrink(&mut self, share: Share, places: usize) {
        let of = self.of(share);
        if of.waiting.is_empty() {
            of.waiting.shrink_to(places);
        }
    }

    /// Empties the queue.
    pub fn take_all(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.types.iter_mut().flat_map(|of| of.waiting.drain(..)).collect()
    }

    /// The number of the type whose item is next.
    fn next_type(&self) -> Option<usize> {
        let types = self.types.iter().enumerate().filter(|(_, of)| !of.waiting.is_empty());
        types.min_by_key(|(_, of)| of.rank(self.guess)).map(|(number, _)| number)
    }

    /// A share is made only for a queue that has it.
    fn of(&mut self, share: Share) -> &mut TypeQueue<T> {
        &mut self.types[share.0]
    }
}

impl<T> TypeQueue<T> {
    fn is_at_rest(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// The type with the least goes first.
    fn rank(&self, guess: u64) -> u64 {
        self.time.saturating_add(self.running.saturating_mul(guess.div_ceil(self.weight)))
    }
}

#[cfg(test)]
mod tests;
