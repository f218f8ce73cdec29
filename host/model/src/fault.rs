//! How a guest can end that does not end by itself.

use std::time::Duration;

/// Why a guest did not come to an end by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It trapped: a panic, most often.
    #[error("the agent's code trapped ({0})")]
    Trap(String),
    /// It ended its own program.
    #[error("the agent's code called exit")]
    Exit,
    /// It ran for longer than its type may.
    #[error("the agent's code ran for longer than {0:?}, the running-time of its type")]
    RunningTime(Duration),
    /// The turn as a whole took longer than it may.
    #[error("the turn took longer than {0:?}, the turn-time of its type")]
    TurnTime(Duration),
    /// It wanted more memory than its type may have.
    #[error("the agent's code requested more memory than {0}, the limit of its type")]
    Memory(bytesize::ByteSize),
    /// It called itself too often.
    #[error("the agent's code exhausted its stack")]
    Stack,
    /// There is no room for one more instance.
    #[error("the host has no capacity for an instance now ({0})")]
    NoRoom(String),
    /// The reminder or timer fired, and the component has no export for it.
    #[error("the component has no export that takes a {0}")]
    NoHandler(&'static str),
}

impl Fault {
    /// The stable code, explained in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Trap(_) => "guest-trapped",
            Fault::Exit => "guest-exited",
            Fault::RunningTime(_) => "running-time-exceeded",
            Fault::TurnTime(_) => "turn-time-exceeded",
            Fault::Memory(_) => "memory-exceeded",
            Fault::Stack => "stack-exhausted",
            Fault::NoRoom(_) => "no-room-for-instance",
            Fault::NoHandler(_) => "no-wakeup-handler",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Fault::NoRoom(_) => http::StatusCode::SERVICE_UNAVAILABLE,
            Fault::TurnTime(_) => http::StatusCode::GATEWAY_TIMEOUT,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
