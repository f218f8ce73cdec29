//! What the commands print. A reader that has gone is no error, and nothing that happens to a standard stream is a panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Nobody takes what is to be printed.
#[derive(Debug, thiserror::Error)]
#[error("error[output-failed]: standard output: {reason}\n  help: {help}")]
pub(crate) struct OutputError {
    reason: std::io::Error,
    help: String,
}

/// Prints to standard output. Whoever reads, such as `head`, may have read enough.
pub(crate) fn print(text: &str) -> Result<(), OutputError> {
    match write(text) {
        Err(reason) if reason.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|reason| OutputError { reason, help: "check its destination".into() }),
    }
}

/// Prints what somebody has to get; the help says where else to find it.
pub(crate) fn print_once(text: &str, help: impl FnOnce() -> String) -> Result<(), OutputError> {
    write(text).map_err(|reason| OutputError { reason, help: help() })
}

/// Prints to standard error. There is no other place to say that it failed.
pub(crate) fn print_error(text: impl Display) {
    let _nobody_can_be_told = write!(std::io::stderr(), "{text}");
}

fn write(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
