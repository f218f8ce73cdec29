//! Agents that are to be told of effects that failed (`on-effect-failed`).
//!
//! What is durable is in the dead letters: one of which the agent is to be told says so until a turn of its handler has
//! been kept. This file only has who is to be told now. The turn of the host that makes dead letters adds its actor here,
//! and after a crash so does the first firing of the host's reminder, which stays registered until nobody is to be told.

use std::collections::BTreeSet;

use daca_model::ActorAddress;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The actors whose agents are to be told. An actor is in it once, however many dead letters it has.
#[derive(Default)]
pub(super) struct Untold {
    inner: Mutex<Inner>,
    added: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: BTreeSet<ActorAddress>,
    /// The number of those that are being told.
    under_way: usize,
}

impl Untold {
    pub(super) fn add(&self, actor: ActorAddress) {
        self.inner.lock().waiting.insert(actor);
        self.added.notify_one();
    }

    /// The next one. Waits until there is one.
    pub(super) async fn next(&self) -> ActorAddress {
        loop {
            let added = self.added.notified();
            if let Some(actor) = self.take() {
                return actor;
            }
            added.await;
        }
    }

    fn take(&self) -> Option<ActorAddress> {
        let mut inner = self.inner.lock();
        let actor = inner.waiting.pop_first()?;
        inner.under_way += 1;
        Some(actor)
    }

    pub(super) fn ended(&self) {
        let mut inner = self.inner.lock();
        inner.under_way = inner.under_way.saturating_sub(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner.lock();
        inner.waiting.is_empty() && inner.under_way == 0
    }
}
