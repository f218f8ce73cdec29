//! The output of the commands. A reader that has gone is not an error, and an error of a standard stream is never a
//! panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use daca_base::ErrorCode;

/// The output could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "error[{code}]: standard output: {reason}\n  help: {help}",
    code = ErrorCode::OutputFailed
)]
pub(crate) struct OutputError {
    reason: std::io::Error,
    help: String,
}

/// Prints to standard output. A reader such as `head` may have read enough.
pub(crate) fn print(text: &str) -> Result<(), OutputError> {
    match write(text) {
        Err(reason) if reason.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|reason| OutputError { reason, help: "check its destination".into() }),
    }
}

/// Prints output that must not be lost; the help says where else to find it.
pub(crate) fn print_once(text: &str, help: impl FnOnce() -> String) -> Result<(), OutputError> {
    write(text).map_err(|reason| OutputError { reason, help: help() })
}

/// Prints to standard error. A failure cannot be reported anywhere else.
pub(crate) fn print_error(text: impl Display) {
    let _nobody_can_be_told = write!(std::io::stderr(), "{text}");
}

fn write(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
