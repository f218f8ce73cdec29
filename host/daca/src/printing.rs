//! The output of the commands. A reader that has gone is not an error, and an error of a standard stream is never a
//! panic.
//!
//! A process may begin without a standard output (`>&-` in a shell). Rust's runtime puts `/dev/null` in its place before
//! `main`, so that no file gets its number, and everything that is printed is lost without an error. Whether that is so
//! can only be seen before the runtime begins.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use daca_base::{ErrorCode, Explained, Explanation};
use rustix::io::Errno;

/// The usual help.
const DESTINATION: &str = "check its destination";

/// The process began without a standard output.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[expect(unsafe_code, reason = "there is no safe way to run something before Rust's runtime")]
// SAFETY: the C library calls each function of this section once, before `main`, in the only thread. This one makes a
// system call and stores a flag, and uses nothing that the runtime prepares.
#[unsafe(link_section = ".init_array")]
static LOOK_AT_OUTPUT: extern "C" fn() = look_at_output;

extern "C" fn look_at_output() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    IS_CLOSED.store(flags.is_err_and(|error| error == Errno::BADF), Ordering::Relaxed);
}

/// The output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {reason}")]
pub(crate) struct OutputError {
    reason: std::io::Error,
    help: String,
}

impl Explained for OutputError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(Explanation::new(ErrorCode::OutputFailed, self.help.as_str()))
    }
}

/// Fails if there is no standard output, for a command that writes to it by itself.
pub(crate) fn check_output() -> Result<(), OutputError> {
    checked().map_err(|reason| OutputError { reason, help: DESTINATION.into() })
}

/// Prints to standard output. A reader such as `head` may have read enough.
pub(crate) fn print(text: &str) -> Result<(), OutputError> {
    unless_reader_left(write(text))
}

/// Prints what the reader of the arguments answers by itself: the help or the version to standard output, or what is
/// wrong with the arguments to standard error. A terminal gets colours.
pub(crate) fn print_answer(answer: &clap::Error) -> Result<(), OutputError> {
    if answer.use_stderr() {
        answer.print().ok(); // it cannot be reported anywhere else
        return Ok(());
    }
    let written = checked().and_then(|()| answer.print()).and_then(|()| std::io::stdout().flush());
    unless_reader_left(written)
}

/// Prints output that must not be lost; the help says where else to find it.
pub(crate) fn print_once(text: &str, help: impl FnOnce() -> String) -> Result<(), OutputError> {
    write(text).map_err(|reason| OutputError { reason, help: help() })
}

/// Prints to standard error. A failure cannot be reported anywhere else.
pub(crate) fn print_error(text: impl Display) {
    write!(std::io::stderr(), "{text}").ok();
}

fn unless_reader_left(written: std::io::Result<()>) -> Result<(), OutputError> {
    match written {
        Err(reason) if reason.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|reason| OutputError { reason, help: DESTINATION.into() }),
    }
}

fn checked() -> std::io::Result<()> {
    if IS_CLOSED.load(Ordering::Relaxed) { Err(Errno::BADF.into()) } else { Ok(()) }
}

fn write(text: &str) -> std::io::Result<()> {
    checked()?;
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
