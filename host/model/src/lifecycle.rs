//! The phase of a host, from its start to its end: one value, one writer, many readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The present stage of a host's life. Phases follow each other in this order, and none returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum HostPhase {
    /// Its parts are being made. Nothing is served yet.
    Starting,
    /// Calls are served, if the backend is ready.
    Serving,
    /// The shutdown has begun: calls from outside and deployments are refused. Running turns end, with the calls that
    /// they make.
    Draining,
    /// The actors were ended as far as time allowed, and a sidecar is to send its calls elsewhere.
    HandedOver,
    /// Every call is refused.
    Stopped,
}

impl HostPhase {
    /// The phase with this number, which is its place in the order.
    fn of(number: u8) -> HostPhase {
        match number {
            0 => HostPhase::Starting,
            1 => HostPhase::Serving,
            2 => HostPhase::Draining,
            3 => HostPhase::HandedOver,
            _ => HostPhase::Stopped,
        }
    }
}

/// Moves a host from phase to phase. Whoever shuts the host down has it; there is one for each host.
#[derive(Debug)]
pub struct LifecycleWriter(Arc<AtomicU8>);

impl LifecycleWriter {
    /// A host that starts.
    pub fn starting() -> LifecycleWriter {
        LifecycleWriter(Arc::new(AtomicU8::new(HostPhase::Starting as u8)))
    }

    /// A reader of the phase.
    pub fn reader(&self) -> Lifecycle {
        Lifecycle(self.0.clone())
    }

    /// Enters a phase. Does nothing if the host has reached it, or a later one.
    pub fn enter(&self, phase: HostPhase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}

/// A view of the phase. Cheap to clone. It keeps the last phase when the writer is gone.
///
/// Nobody waits for a phase, and each call reads it, so it is a number and no channel: to read a channel takes a lock
/// that all calls share.
#[derive(Debug, Clone)]
pub struct Lifecycle(Arc<AtomicU8>);

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> HostPhase {
        HostPhase::of(self.0.load(Ordering::Acquire))
    }

    /// Returns `true` in this phase and in those after it.
    pub fn has_reached(&self, phase: HostPhase) -> bool {
        self.phase() >= phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_phase_is_its_own() {
        use HostPhase::{Draining, HandedOver, Serving, Starting, Stopped};
        for phase in [Starting, Serving, Draining, HandedOver, Stopped] {
            assert_eq!(HostPhase::of(phase as u8), phase);
        }
    }

    #[test]
    fn a_host_never_returns_to_an_earlier_phase() {
        let writer = LifecycleWriter::starting();
        let reader = writer.reader();
        assert_eq!(reader.phase(), HostPhase::Starting);
        writer.enter(HostPhase::Draining);
        writer.enter(HostPhase::Serving);
        assert_eq!(reader.phase(), HostPhase::Draining);
        assert!(reader.has_reached(HostPhase::Serving) && !reader.has_reached(HostPhase::HandedOver));
        drop(writer);
        assert_eq!(reader.phase(), HostPhase::Draining);
    }
}
