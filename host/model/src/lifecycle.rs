//! The phase of a host, from its start to its end: one value, one writer, many readers.

use tokio::sync::watch;

/// The present stage of a host's life. Phases follow each other in this order, and none returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Moves a host from phase to phase. Whoever shuts the host down has it; there is one for each host.
#[derive(Debug)]
pub struct LifecycleWriter(watch::Sender<HostPhase>);

impl LifecycleWriter {
    /// A host that starts.
    pub fn starting() -> LifecycleWriter {
        LifecycleWriter(watch::Sender::new(HostPhase::Starting))
    }

    /// A reader of the phase.
    pub fn reader(&self) -> Lifecycle {
        Lifecycle(self.0.subscribe())
    }

    /// Enters a phase. Does nothing if the host has reached it, or a later one.
    pub fn enter(&self, phase: HostPhase) {
        self.0.send_if_modified(|now| {
            let is_later = phase > *now;
            if is_later {
                *now = phase;
            }
            is_later
        });
    }
}

/// A view of the phase. Cheap to clone. It keeps the last phase when the writer is gone.
#[derive(Debug, Clone)]
pub struct Lifecycle(watch::Receiver<HostPhase>);

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> HostPhase {
        *self.0.borrow()
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
