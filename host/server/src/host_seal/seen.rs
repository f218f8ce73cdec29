//! The seals that this host has seen: each is good for one call. A sidecar that moves actors, and the router of the host
//! that asks, deliver a call again. Such a delivery has the mark of the first, and gets its answer as long as that is
//! known; later it would be done once more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time for which a seal holds, by the clocks of the two hosts.
pub(super) const SEAL_TIME: Duration = Duration::from_secs(300);
/// The seals that are remembered. Only hosts make them, one for each actor that an operator asks for.
const MAX_SEALS: usize = 20_000;
/// The time after a call for which it may be delivered again. The runtime keeps its answer for a little longer.
const DELIVERED_AGAIN: Duration = Duration::from_secs(25);
/// The time for which a seal is remembered: the other host's clock may be ahead.
const REMEMBERED: Duration = SEAL_TIME.saturating_mul(2);

pub(super) type Seal = [u8; 32];

/// The seals of the last minutes.
#[derive(Default)]
pub(super) struct SeenSeals {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_seal: HashMap<Seal, Seen>,
    /// When each was first seen, from old to new.
    order: VecDeque<(Instant, Seal)>,
}

struct Seen {
    /// The mark of its call.
    mark: Option<Arc<str>>,
    /// When the last delivery ended.
    ended: Option<Instant>,
}

/// A call whose seal was accepted. Dropped when the call ends.
pub(crate) struct SealedCall {
    seals: Arc<SeenSeals>,
    seal: Seal,
}

impl Drop for SealedCall {
    fn drop(&mut self) {
        self.seals.ended(&self.seal, Instant::now());
    }
}

impl SeenSeals {
    /// Accepts a seal that is seen for the first time, or with another delivery of its call.
    pub(super) fn accept(self: &Arc<Self>, seal: Seal, mark: Option<&Arc<str>>) -> Option<SealedCall> {
        let is_good = self.is_good(seal, mark, Instant::now());
        is_good.then(|| SealedCall { seals: self.clone(), seal })
    }

    fn is_good(&self, seal: Seal, mark: Option<&Arc<str>>, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        inner.forget_old(now);
        if let Some(Seen { mark: first, ended }) = inner.by_seal.get(&seal) {
            let is_current = ended.is_none_or(|ended| now.duration_since(ended) < DELIVERED_AGAIN);
            return is_current && mark.is_some() && mark == first.as_ref();
        }
        inner.by_seal.insert(seal, Seen { mark: mark.cloned(), ended: None });
        inner.order.push_back((now, seal));
        true
    }

    fn ended(&self, seal: &Seal, now: Instant) {
        if let Some(seen) = self.inner.lock().by_seal.get_mut(seal) {
            seen.ended = Some(now);
        }
    }
}

impl Inner {
    fn forget_old(&mut self, now: Instant) {
        while let Some((since, seal)) = self.order.front()
            && (self.order.len() >= MAX_SEALS || now.duration_since(*since) > REMEMBERED)
        {
            self.by_seal.remove(seal);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_good_for_one_call_however_often_it_is_delivered() {
        let (seals, began) = (SeenSeals::default(), Instant::now());
        let [own, other] = ["own", "other"].map(Arc::<str>::from);
        assert!(seals.is_good([1; 32], Some(&own), began));
        assert!(seals.is_good([1; 32], Some(&own), began + REMEMBERED), "it waits for its turn");
        assert!(!seals.is_good([1; 32], Some(&other), began), "another call");
        assert!(!seals.is_good([1; 32], None, began));
        seals.ended(&[1; 32], began);
        assert!(seals.is_good([1; 32], Some(&own), began + DELIVERED_AGAIN / 2));
        assert!(
            !seals.is_good([1; 32], Some(&own), began + DELIVERED_AGAIN),
            "its answer is not known any more"
        );
        assert!(seals.is_good([2; 32], None, began));
        assert!(!seals.is_good([2; 32], None, began), "without a mark nobody knows that it is the same call");
    }

    #[test]
    fn seals_are_remembered_for_as_long_as_they_hold_and_within_bounds() {
        let (seals, began) = (SeenSeals::default(), Instant::now());
        for number in 0..2 * MAX_SEALS as u64 {
            let mut seal = [0; 32];
            seal[..8].copy_from_slice(&number.to_be_bytes());
            assert!(seals.is_good(seal, None, began));
        }
        let known = || {
            let inner = seals.inner.lock();
            (inner.by_seal.len(), inner.order.len())
        };
        assert_eq!(known(), (MAX_SEALS, MAX_SEALS));
        assert!(seals.is_good([1; 32], None, began + REMEMBERED + Duration::from_secs(1)));
        assert_eq!(known(), (1, 1));
    }
}
