//! The requests in flight of each agent type: what it has of the connections, as far as that is known.
//!
//! A route tells the type before the body is read, so a slow body counts for it. A sidecar's callback counts when it was
//! read, and an event if its subscription calls an agent. A connection without a request is of no type.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the requests of each agent type at the application's port. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<BTreeMap<Arc<str>, RequestsOfType>>);

/// Counts those of one type.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestsOfType(Arc<AtomicUsize>);

/// A request that is not answered yet.
pub(super) struct RequestInFlight<'a>(&'a AtomicUsize);

impl Requests {
    /// Counts those of these agent types, and of no other.
    pub fn of_types<'a>(agent_types: impl IntoIterator<Item = &'a Arc<str>>) -> Requests {
        let types = agent_types.into_iter().map(|name| (name.clone(), RequestsOfType::default()));
        Requests(Arc::new(types.collect()))
    }

    /// The counter of a type. That of one that is not counted is read by nobody.
    pub(super) fn counter(&self, agent_type: &str) -> RequestsOfType {
        self.0.get(agent_type).cloned().unwrap_or_default()
    }

    /// Counts a request for an agent type until the result is dropped.
    pub(super) fn begin(&self, agent_type: &str) -> Option<RequestInFlight<'_>> {
        self.0.get(agent_type).map(RequestsOfType::begin)
    }

    /// The requests in flight of a type.
    pub(super) fn in_flight(&self, agent_type: &str) -> usize {
        self.0.get(agent_type).map_or(0, |of| of.0.load(Ordering::Relaxed))
    }
}

impl RequestsOfType {
    /// Counts a request until the result is dropped.
    pub(super) fn begin(&self) -> RequestInFlight<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        RequestInFlight(&self.0)
    }
}

impl Drop for RequestInFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
