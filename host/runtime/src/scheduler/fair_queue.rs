//! The queue of runnable turns: first the type is chosen, by the processor time that it has used, then the turn that
//! waits longest.
//!
//! Each type has a virtual time: the time that its turns have used, divided by its weight. The type with the least goes
//! first. This is start-time fair queueing (Goyal, Vin, Cheng 1996), and deals with two things that a plain sum would
//! not. A type that comes back after a pause does not get the time that it has left unused: it starts at the present
//! virtual time. And several threads take turns at once, whose time is known only afterwards: a turn that runs counts as
//! a whole slice until then.
//!
//! There are as many types as in the manifest, so they are searched one by one.

use std::collections::VecDeque;

/// What a turn that runs counts for until its time is known, in nanoseconds: about the longest time between two
/// interruptions.
const SLICE: u64 = 5_000_000;

/// A type, by its number in the queue that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(pub(super) usize);

/// Runnable turns by type.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    types: Vec<TypeQueue<T>>,
    /// The virtual time of the turn that began last.
    now: u64,
    waiting: usize,
}

#[derive(Debug)]
struct TypeQueue<T> {
    weight: u64,
    waiting: VecDeque<T>,
    /// Turns that run.
    running: u64,
    /// Its virtual time: nanoseconds for a weight of 1.
    time: u64,
    /// Nanoseconds of a processor that its turns have used.
    used: u64,
}

/// What a type has of the processors.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) nanos: u64,
    pub(super) waiting: usize,
}

impl<T> FairQueue<T> {
    /// Empty, with a type for each weight.
    pub(super) fn new(weights: &[u32]) -> FairQueue<T> {
        let types = weights.iter().map(|weight| TypeQueue {
            weight: u64::from(*weight).max(1),
            waiting: VecDeque::new(),
            running: 0,
            time: 0,
            used: 0,
        });
        FairQueue { types: types.collect(), now: 0, waiting: 0 }
    }

    /// Appends a turn to those of its type.
    pub(super) fn push(&mut self, share: Share, turn: T) {
        let now = self.now;
        let of = self.of(share);
        if of.is_at_rest() {
            of.time = of.time.max(now);
        }
        of.waiting.push_back(turn);
        self.waiting += 1;
    }

    /// Takes the next turn. [`FairQueue::ended`] must follow.
    pub(super) fn pop(&mut self) -> Option<(Share, T)> {
        let types = self.types.iter().enumerate().filter(|(_, of)| !of.waiting.is_empty());
        let (number, _) = types.min_by_key(|(_, of)| of.rank())?;
        let of = self.of(Share(number));
        let turn = of.waiting.pop_front()?;
        of.running += 1;
        let time = of.time;
        self.now = self.now.max(time);
        self.waiting -= 1;
        Some((Share(number), turn))
    }

    /// A turn that was taken has ended or waits, after so many nanoseconds of a processor.
    pub(super) fn ended(&mut self, share: Share, nanos: u64) {
        let of = self.of(share);
        of.running = of.running.saturating_sub(1);
        of.time = of.time.saturating_add(nanos.div_ceil(of.weight));
        of.used = of.used.saturating_add(nanos);
    }

    /// Returns `true` if the next turn of the first type has a better claim than one of the second that runs.
    pub(super) fn goes_before(&self, first: Share, second: Share) -> bool {
        let rank = |share: Share| self.types.get(share.0).map(TypeQueue::rank);
        rank(first) < rank(second)
    }

    /// The number of turns that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What a type has used, and the number of its turns that wait.
    pub(super) fn usage(&self, share: Share) -> Use {
        let of = self.types.get(share.0);
        of.map(|of| Use { nanos: of.used, waiting: of.waiting.len() }).unwrap_or_default()
    }

    /// Empties the queue.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.types.iter_mut().flat_map(|of| of.waiting.drain(..)).collect()
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
    fn rank(&self) -> u64 {
        self.time.saturating_add(self.running.saturating_mul(SLICE.div_ceil(self.weight)))
    }
}

#[cfg(test)]
mod tests;
