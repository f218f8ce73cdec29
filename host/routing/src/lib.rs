//! Routing: where a call of an actor goes, how it is retried, and the headers between hosts.
//!
//! All calls pass through the [`CallRouter`], except the callbacks of a sidecar: those of the routes, events and
//! operators (`daca-server`), and those that turns make of other actors, which reach it through the door that
//! `daca-model` defines ([`ActorCalls`]). A callback has been routed already, and has arrived at its host: it goes to
//! [`Actors::call_here`].
//!
//! Without a sidecar every actor is here. Behind one, [`through_sidecar`] makes the call directly if it may, or else
//! through the sidecar, and repeats it as [`retry`] says. [`wire`] is the form of a call between hosts, and the server
//! reads it from the sidecar's callbacks.

mod retry;
mod through_sidecar;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use daca_dapr::Invoker;
use daca_manifest::Manifest;
use daca_model::backend::{ActorCall, ActorCalls};
use daca_model::{CallContext, CallError};
use daca_runtime::actor::Actors;

use through_sidecar::ThroughSidecar;
pub use wire::reply as wire_reply;
pub use wire::{answer_mark, context_of, failure_body, is_misdelivered, reply_body};

/// Takes calls to their actors. A cheap handle.
#[derive(Clone)]
pub struct CallRouter {
    inner: Arc<Inner>,
}

struct Inner {
    /// The actors of this host, once it serves.
    here: OnceLock<Actors>,
    /// `None` without a sidecar: all actors are here.
    sidecar: Option<ThroughSidecar>,
    misdelivered: AtomicU64,
}

impl CallRouter {
    /// The router of a single host.
    pub fn alone() -> CallRouter {
        CallRouter::new(None)
    }

    /// The router of a host behind a sidecar, which knows the host of each actor.
    pub fn behind_sidecar(manifest: &Manifest, invoker: Invoker) -> CallRouter {
        CallRouter::new(Some(ThroughSidecar::new(manifest, invoker)))
    }

    fn new(sidecar: Option<ThroughSidecar>) -> CallRouter {
        let (here, misdelivered) = (OnceLock::new(), AtomicU64::new(0));
        CallRouter { inner: Arc::new(Inner { here, sidecar, misdelivered }) }
    }

    /// The host starts to serve these actors. Called once, before the first call.
    pub fn serve(&self, actors: Actors) {
        // It is called once, so nothing is there before.
        self.inner.here.set(actors).ok();
    }

    /// Calls a method of an actor on any host, and returns its reply.
    pub async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        match (&self.inner.sidecar, self.inner.here.get()) {
            // On a single host each request passes here: it needs no box of its own, as the method of the trait makes one.
            (None, Some(actors)) => actors.call_here(call, context).await,
            _ => self.call_actor(call, context).await,
        }
    }

    /// The sidecar has given up this host's actors, and the host ends: calls that wait for the sidecar are cancelled in
    /// a moment. Does nothing without a sidecar.
    pub fn cancel_waiting_calls(&self) {
        if let Some(sidecar) = &self.inner.sidecar {
            sidecar.cancel_waiting_calls();
        }
    }

    /// Counts a call that was delivered to another actor than its caller meant.
    pub fn note_misdelivered(&self) {
        self.inner.misdelivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that were delivered to another actor than their callers meant. They were refused.
    pub fn misdelivered(&self) -> u64 {
        self.inner.misdelivered.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ActorCalls for CallRouter {
    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        let here = self.inner.here.get();
        match (&self.inner.sidecar, here) {
            (Some(sidecar), here) => sidecar.call(here, call, context).await,
            (None, Some(actors)) => actors.call_here(call, context).await,
            (None, None) => Err(CallError::Starting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest's call may not wait for a host that is still being made, nor reach actors that are not there yet.
    #[tokio::test]
    async fn a_call_before_the_host_serves_is_refused() {
        let actor = "A/a".parse().expect("an address");
        let call = ActorCall { actor, method: "Method".to_owned(), payload: Bytes::new() };
        let answer = CallRouter::alone().call(call, CallContext::default()).await;
        assert!(matches!(answer, Err(CallError::Starting)), "{answer:?}");
    }
}
