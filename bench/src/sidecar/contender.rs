//! Who is measured beside a sidecar, and what a message asks of it.

use crate::peers::Peer;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Host,
    /// The host with `direct-calls`.
    HostDirect,
    Peer(Peer),
}

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// State, event and SMS.
    Whole,
    /// State and event.
    WithoutSms,
}

impl Job {
    pub(super) fn name(self) -> &'static str {
        match self {
            Job::Whole => "",
            Job::WithoutSms => ", no SMS",
        }
    }
}

pub(super) const CONTENDERS: [Contender; 5] = [
    Contender::Host,
    Contender::HostDirect,
    Contender::Peer(Peer::Go),
    Contender::Peer(Peer::GoKeepingState),
    Contender::Peer(Peer::Python),
];

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Host => "host",
            Contender::HostDirect => "host, direct-calls",
            Contender::Peer(Peer::Go) => "go",
            Contender::Peer(Peer::GoKeepingState) => "go, keeping state",
            Contender::Peer(Peer::Python) => "python",
        }
    }

    pub(super) fn is_slow(self) -> bool {
        self == Contender::Peer(Peer::Python)
    }
}

/// The contenders, in the opposite order in every second round.
pub(super) fn in_order(round: usize) -> [Contender; CONTENDERS.len()] {
    let mut contenders = CONTENDERS;
    if round % 2 == 1 {
        contenders.reverse();
    }
    contenders
}
