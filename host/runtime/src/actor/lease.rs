//! The lease of an actor: whether this host certainly owns it, and whether the backend has revoked it.
//!
//! A single host always holds it. One of many holds it once the backend has accepted a write of the actor, which it
//! does only for actors of this host, until the backend ends the activation or was unreachable.

use std::sync::atomic::{AtomicU64, Ordering};

use daca_model::backend::Backend;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// The lease of one activation.
#[derive(Default)]
pub(super) struct Lease {
    /// The ownership epoch in which it was confirmed, plus one; 0 if it was not, or was revoked since.
    confirmed_in: AtomicU64,
    term: Mutex<Term>,
}

/// The period between two revocations.
#[derive(Default)]
struct Term {
    /// The number of revocations.
    generation: u64,
    /// Cancelled when it is revoked: the backend waits for the end of what runs.
    revoked: CancellationToken,
}

impl Lease {
    /// The number of revocations: the generation.
    pub(super) fn generation(&self) -> u64 {
        self.term().generation
    }

    /// Cancelled when the lease is revoked. For turns that begin now.
    pub(super) fn revoked(&self) -> CancellationToken {
        self.term().revoked.clone()
    }

    /// The backend has given up the actor.
    pub(super) fn revoke(&self) {
        let mut term = self.term();
        term.generation += 1;
        self.confirmed_in.store(0, Ordering::Release);
        term.revoked.cancel();
    }

    /// Calls from now on are not cut off, unless the lease was revoked once more; then the calls that wait from before
    /// are.
    pub(super) fn renew(&self, generation: u64) {
        let mut term = self.term();
        if term.generation == generation {
            term.revoked = CancellationToken::new();
        }
    }

    /// Confirms that the backend accepted a write of the actor in this ownership epoch, in a turn that began in this
    /// generation. That a call came from the backend proves less: it may have been under way while the actor moved.
    pub(super) fn confirm(&self, epoch: u64, generation: u64) {
        let term = self.term();
        if term.generation == generation {
            self.confirmed_in.store(epoch + 1, Ordering::Release);
        }
    }

    /// Returns `true` if this host owns the actor, as far as the backend has said.
    pub(super) fn is_held(&self, backend: &dyn Backend) -> bool {
        let epoch = backend.epoch();
        self.confirmed_in.load(Ordering::Acquire) == epoch + 1 && backend.is_lease_valid(epoch)
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        self.term.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeBackend;

    #[test]
    fn a_lease_is_held_from_a_confirmed_write_as_long_as_the_backend_answers() {
        let (backend, lease) = (FakeBackend::sound(), Lease::default());
        assert!(!lease.is_held(&*backend), "nothing was confirmed");
        lease.confirm(0, lease.generation());
        assert!(lease.is_held(&*backend));
        backend.end_leases();
        assert!(!lease.is_held(&*backend));
    }

    #[test]
    fn a_lease_ends_with_its_epoch() {
        let (backend, lease) = (FakeBackend::sound(), Lease::default());
        lease.confirm(0, lease.generation());
        backend.begin_epoch();
        assert!(!lease.is_held(&*backend), "another host may have owned the actor");
        lease.confirm(0, lease.generation());
        assert!(!lease.is_held(&*backend), "that write was of the epoch before");
        lease.confirm(1, lease.generation());
        assert!(lease.is_held(&*backend));
    }

    #[test]
    fn a_lease_that_is_revoked_during_a_turn_is_not_confirmed_by_it() {
        let (backend, lease) = (FakeBackend::sound(), Lease::default());
        let (generation, turn) = (lease.generation(), lease.revoked());
        lease.confirm(0, generation);
        lease.revoke();
        assert!(turn.is_cancelled() && !lease.is_held(&*backend));
        lease.confirm(0, generation);
        assert!(!lease.is_held(&*backend), "that turn began before it was revoked");
        lease.confirm(0, lease.generation());
        assert!(lease.is_held(&*backend));
    }

    #[test]
    fn a_renewal_is_void_if_the_lease_was_revoked_once_more() {
        let lease = Lease::default();
        lease.revoke();
        let generation = lease.generation();
        lease.revoke();
        lease.renew(generation);
        assert!(lease.revoked().is_cancelled());
        lease.renew(lease.generation());
        assert!(!lease.revoked().is_cancelled());
    }
}
