//! Actors that the host has something to do for, such as to make dead letters of their effects: each is in its queue
//! once, and some of them are worked on at the same time.

use std::collections::BTreeSet;

use daca_model::ActorAddress;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The number of actors of one queue that are worked on at the same time.
const CONCURRENT: usize = 16;

/// The actors that wait, each of them once.
#[derive(Default)]
pub(super) struct WorkQueue {
    inner: Mutex<Inner>,
    added: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: BTreeSet<ActorAddress>,
    /// The number of those that are worked on.
    under_way: usize,
}

impl WorkQueue {
    pub(super) fn add(&self, actor: ActorAddress) {
        self.inner.lock().waiting.insert(actor);
        self.added.notify_one();
    }

    /// Does the work for one actor after the other. Runs until it is dropped.
    pub(super) async fn run<Done: Future<Output = ()>>(&self, work: impl Fn(ActorAddress) -> Done) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                actor = self.next(), if under_way.len() < CONCURRENT => under_way.push(work(actor)),
                Some(()) = under_way.next() => self.ended(),
            }
        }
    }

    /// Returns `true` if no actor waits, and none is worked on.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        inner.waiting.is_empty() && inner.under_way == 0
    }

    /// The next one. Waits until there is one.
    async fn next(&self) -> ActorAddress {
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

    fn ended(&self) {
        let mut inner = self.inner.lock();
        inner.under_way = inner.under_way.saturating_sub(1);
    }
}
