//! How many idle instances of types whose activation is cheap are kept.
//!
//! An instance that is not used again before it is evicted saves nothing, and what it has of the processor's caches is
//! missing elsewhere. So few are kept, unless with many of them at least half of the turns would find theirs. Whether they
//! would is known also while few are kept: evictions are numbered, and an actor remembers the number of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Measured with the ChatAgent: 10,000 active actors, and 1,000, answer no fewer messages a second with 64 instances than
/// with 384 or 8,192; 200 actors answer more with 200.
const FEW: usize = 64;
const MANY: usize = 384;
/// The turns after which it is decided anew.
const PERIOD: u64 = 1_024;

/// The number of cheap instances that are kept, as the last turns suggest.
#[derive(Debug, Default)]
pub(super) struct KeptInstances {
    keeps_many: AtomicBool,
    /// The evictions so far.
    evictions: AtomicU64,
    /// The turns since the last decision.
    turns: AtomicU64,
    /// Those among them that had their instance, or would have had it if many were kept.
    found: AtomicU64,
}

impl KeptInstances {
    /// The number that is kept.
    pub(super) fn most(&self) -> usize {
        if self.keeps_many.load(Ordering::Relaxed) { MANY } else { FEW }
    }

    /// An instance is evicted. Returns the number of the eviction for its actor to remember, or 0 if it would be evicted
    /// also if many were kept.
    pub(super) fn evicts(&self) -> u64 {
        let number = self.evictions.fetch_add(1, Ordering::Relaxed) + 1;
        if self.keeps_many.load(Ordering::Relaxed) { 0 } else { number }
    }

    /// A turn begins, whose actor has its instance.
    pub(super) fn has_found(&self) {
        self.note(true);
    }

    /// A turn begins, whose actor needs an instance. It remembers this number of an eviction, or 0.
    pub(super) fn has_missed(&self, evicted: u64) {
        let since = self.evictions.load(Ordering::Relaxed).saturating_sub(evicted);
        self.note(evicted > 0 && since < (MANY - FEW) as u64);
    }

    fn note(&self, is_found: bool) {
        if is_found {
            self.found.fetch_add(1, Ordering::Relaxed);
        }
        if self.turns.fetch_add(1, Ordering::Relaxed) + 1 == PERIOD {
            self.turns.store(0, Ordering::Relaxed);
            let found = self.found.swap(0, Ordering::Relaxed);
            self.keeps_many.store(found * 2 >= PERIOD, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actors with an instance, the one that was used longest ago first, and the evictions that the others remember.
    struct Host {
        kept: KeptInstances,
        idle: Vec<usize>,
        evicted: Vec<u64>,
    }

    impl Host {
        fn new(actors: usize) -> Host {
            Host { kept: KeptInstances::default(), idle: Vec::new(), evicted: vec![0; actors] }
        }

        fn turn(&mut self, actor: usize) {
            match self.idle.iter().position(|idle| *idle == actor) {
                Some(place) => {
                    self.kept.has_found();
                    self.idle.remove(place);
                }
                None => self.kept.has_missed(self.evicted[actor]),
            }
            self.idle.push(actor);
            while self.idle.len() > self.kept.most() {
                let first = self.idle.remove(0);
                self.evicted[first] = self.kept.evicts();
            }
        }

        /// Turns of all actors, in an order in which each is as likely as another.
        fn run(&mut self) -> usize {
            let actors = self.evicted.len();
            let mut random = 1_u64;
            for _ in 0..20 * PERIOD {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                self.turn((random >> 33) as usize % actors);
            }
            self.kept.most()
        }
    }

    #[test]
    fn many_are_kept_if_most_turns_find_theirs_then() {
        for (actors, most) in [(10, MANY), (200, MANY), (500, MANY), (1_000, FEW), (10_000, FEW)] {
            assert_eq!(Host::new(actors).run(), most, "{actors}");
        }
    }

    /// It is decided by what comes, not by what was.
    #[test]
    fn it_follows_the_load() {
        let mut host = Host::new(10_000);
        assert_eq!(host.run(), FEW);
        for turn in 0..5 * PERIOD as usize {
            host.turn(turn % 200);
        }
        assert_eq!(host.kept.most(), MANY);
        assert_eq!(host.run(), FEW);
        assert!(host.idle.len() <= FEW);
    }
}
