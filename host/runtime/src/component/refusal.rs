//! Why a file is not a usable component, in messages that all checks of this module share.

use daca_base::ErrorCode;

/// Why a file is not a usable component.
#[derive(Debug, thiserror::Error)]
#[error("error[{code}]: {name}: {message}\n  help: {help}")]
pub struct LoadError {
    /// Stable code, explained in `docs/errors/`.
    pub code: ErrorCode,
    /// The file, or another origin of the bytes.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Code, message and help of a [`LoadError`].
pub(super) type Refusal = (ErrorCode, String, &'static str);

impl LoadError {
    pub(super) fn new(name: String, (code, message, help): Refusal) -> LoadError {
        LoadError { code, name, message, help: help.to_owned() }
    }
}

/// The refusal of bytes that no compiler can read, with the reason.
pub(super) fn malformed(reason: &str) -> Refusal {
    let message =
        format!("it is not a valid component (cut short or altered?): {}", reason.replace('\n', " "));
    (ErrorCode::ComponentInvalid, message, "copy or build the file again")
}

/// The refusal of an import that the host does not offer, with the reason.
pub(super) fn unknown_import(what: &str) -> Refusal {
    let message = format!("it imports items that this host does not offer: {what}");
    (ErrorCode::ComponentUnknownImport, message, "remove the import; wit/agent.wit lists the available ones")
}

/// The compilation was abandoned: the process ends, or something panicked, which is in the log.
pub(super) fn interrupted() -> Refusal {
    unavailable("the work was interrupted")
}

/// The machine lacks the resources to run the compiler.
pub(super) fn unavailable(reason: &str) -> Refusal {
    let message = format!("it could not be compiled now: {reason}");
    (ErrorCode::CompilerUnavailable, message, "deploy it again; the message says what the machine lacks")
}

pub(super) fn shutting_down() -> Refusal {
    let message = "the host is shutting down, and no longer compiles".to_owned();
    (ErrorCode::HostShuttingDown, message, "deploy to another host, or when this one is back")
}

/// wasmtime's chain of causes in one line.
pub(super) fn root_cause(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
