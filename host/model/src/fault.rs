//! Faults: the ways in which a guest is aborted.

use std::time::Duration;

use daca_base::ErrorCode;

/// Why a guest was aborted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It trapped, most often by an exception or a panic that it does not catch.
    #[error("the agent's code trapped ({trap})")]
    Trap {
        /// The trap's name.
        trap: String,
        /// The end of what the turn wrote to standard error: a runtime writes the exception there before it traps.
        last_words: String,
    },
    /// It called `exit`, which some runtimes do after an exception that nobody catches.
    #[error("the agent's code called exit")]
    Exit {
        /// As for a trap.
        last_words: String,
    },
    /// It exceeded the running time of its type.
    #[error("the agent's code ran for longer than {0:?}, the running-time of its type")]
    RunningTime(Duration),
    /// The whole turn exceeded its time.
    #[error("the turn took longer than {0:?}, the turn-time of its type")]
    TurnTime(Duration),
    /// It requested more memory than its type allows.
    #[error("the agent's code requested more memory than {0}, the limit of its type")]
    Memory(bytesize::ByteSize),
    /// It exhausted its stack.
    #[error("the agent's code exhausted its stack")]
    Stack,
    /// The host has no capacity for another instance.
    #[error("the host has no capacity for an instance now ({0})")]
    NoRoom(String),
    /// The host's budget of memory is used up.
    #[error("the host has no memory for the turn now")]
    NoMemory,
    /// A reminder or timer fired, or an effect failed, and the component has no export for it.
    #[error("the component has no export that takes a {0}")]
    NoHandler(&'static str),
}

impl Fault {
    /// What the agent's code said before it was aborted, for the operator and the author: it may hold what callers
    /// should not see.
    pub fn last_words(&self) -> Option<&str> {
        match self {
            Fault::Trap { last_words, .. } | Fault::Exit { last_words } => {
                Some(last_words.trim()).filter(|words| !words.is_empty())
            }
            _ => None,
        }
    }

    /// The stable code, explained in `docs/errors/`.
    pub fn code(&self) -> ErrorCode {
        match self {
            Fault::Trap { .. } => ErrorCode::GuestTrapped,
            Fault::Exit { .. } => ErrorCode::GuestExited,
            Fault::RunningTime(_) => ErrorCode::RunningTimeExceeded,
            Fault::TurnTime(_) => ErrorCode::TurnTimeExceeded,
            Fault::Memory(_) => ErrorCode::MemoryExceeded,
            Fault::Stack => ErrorCode::StackExhausted,
            Fault::NoRoom(_) => ErrorCode::NoRoomForInstance,
            Fault::NoMemory => ErrorCode::MemoryExhausted,
            Fault::NoHandler(_) => ErrorCode::NoWakeupHandler,
        }
    }
}
