//! The lines of a turn: those of the standard streams, and the limit on all that it may log. The type of the actor has a
//! share of what all agents log.
//!
//! The host's span of the turn adds agent type, actor id, turn id and component version to each line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use daca_base::ErrorCode;
use daca_base::shares::SharedRate;
use daca_base::telemetry::printable;

use crate::actor_use::ActorUse;

/// The length in bytes of an unfinished line of a standard stream beyond which it is logged in pieces.
pub(super) const MAX_LINE: usize = 8 * 1024;
/// The end of a turn's standard error that is kept, in bytes. An exception and its stack are there when a guest traps.
const LAST_WORDS: usize = 4 * 1024;

/// The bytes of a line besides its text: its time, its fields.
pub(crate) const LINE_BYTES: usize = 200;

/// Where a turn's use of the host is counted.
#[derive(Default)]
pub struct TurnUse {
    /// The bytes that the agents of the host may log in a second; `None` is no bound.
    pub log_rate: Option<SharedRate>,
    /// What the actor has used; that of a turn without an actor is of no interest.
    pub actor: ActorUse,
}

/// The share of an agent type in the log, and the actor that uses it.
#[derive(Debug)]
pub(crate) struct LogShare {
    pub(super) rate: SharedRate,
    pub(super) agent_type: Arc<str>,
    pub(super) used: ActorUse,
}

/// The lines that the current turn may still log. Shared by the logging interface and the standard streams.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    share: Option<LogShare>,
    left: AtomicU32,
    left_out: AtomicU32,
    /// The output of standard output and standard error, in this order, since the last line end.
    unfinished: [Mutex<Vec<u8>>; 2],
    /// The end of standard error in this turn, up to twice as long as what is kept.
    last_words: Mutex<Vec<u8>>,
}

/// A standard stream of a guest.
#[derive(Debug, Clone, Copy)]
pub(super) enum StdStream {
    Output,
    Error,
}

impl StdStream {
    fn level(self) -> tracing::Level {
        match self {
            StdStream::Output => tracing::Level::INFO,
            StdStream::Error => tracing::Level::WARN,
        }
    }
}

impl LogBudget {
    pub(crate) fn new(share: Option<LogShare>) -> LogBudget {
        LogBudget { share, ..LogBudget::default() }
    }

    /// Begins a turn.
    pub(crate) fn restart(&self, lines: u32) {
        self.left.store(lines, Ordering::Relaxed);
        self.left_out.store(0, Ordering::Relaxed);
    }

    /// The end of standard error in this turn, until it is finished.
    pub(crate) fn last_words(&self) -> String {
        let words = self.last_words.lock();
        String::from_utf8_lossy(&words[words.len().saturating_sub(LAST_WORDS)..]).into_owned()
    }

    fn keep_last_words(&self, bytes: &[u8]) {
        let mut words = self.last_words.lock();
        words.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]);
        if words.len() > 2 * LAST_WORDS {
            let superfluous = words.len() - LAST_WORDS;
            words.drain(..superfluous);
        }
    }

    /// Ends a turn: unfinished lines are logged, with the number of dropped lines. An idle instance keeps nothing.
    pub(crate) fn finish(&self) {
        *self.last_words.lock() = Vec::new();
        for stream in [StdStream::Output, StdStream::Error] {
            self.end_line(stream, &mut self.unfinished(stream));
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 && self.is_within_share(0) {
            tracing::warn!(
                code = ErrorCode::LogLinesExceeded.as_str(),
                "{left_out} more log lines of this turn were dropped"
            );
        }
    }

    /// Uses up one line of so many bytes; `false` if none is left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let took =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !took {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        // A line that the rate drops is counted there, and the log says so once in a while.
        took && self.is_within_share(bytes)
    }

    fn is_within_share(&self, bytes: usize) -> bool {
        let Some(LogShare { rate, agent_type, used }) = &self.share else { return true };
        let bytes = bytes + LINE_BYTES;
        let is_taken = rate.take(agent_type, bytes).is_ok();
        if is_taken {
            used.has_logged(bytes);
        }
        is_taken
    }

    /// Takes a guest's output to a standard stream, and logs the finished lines.
    pub(super) fn write(&self, stream: StdStream, bytes: &[u8]) {
        if let StdStream::Error = stream {
            self.keep_last_words(bytes);
        }
        let mut line = self.unfinished(stream);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            for part in text.chunks(MAX_LINE) {
                if line.len() + part.len() > MAX_LINE {
                    self.end_line(stream, &mut line);
                }
                line.extend_from_slice(part);
            }
            if ends {
                self.end_line(stream, &mut line);
            }
        }
    }

    fn end_line(&self, stream: StdStream, line: &mut Vec<u8>) {
        if !line.is_empty() {
            self.log(stream.level(), &String::from_utf8_lossy(line));
            line.clear();
        }
    }

    fn unfinished(&self, stream: StdStream) -> MutexGuard<'_, Vec<u8>> {
        self.unfinished[stream as usize].lock()
    }

    /// Writes a guest's line into the log, within the budget.
    pub(super) fn log(&self, level: tracing::Level, message: &str) {
        if !self.take(message.len().min(MAX_LINE)) {
            return;
        }
        // Within the macros, so that a disabled line costs nothing.
        match level {
            tracing::Level::TRACE => tracing::trace!(target: "agent", "{}", printable(message)),
            tracing::Level::DEBUG => tracing::debug!(target: "agent", "{}", printable(message)),
            tracing::Level::INFO => tracing::info!(target: "agent", "{}", printable(message)),
            tracing::Level::WARN => tracing::warn!(target: "agent", "{}", printable(message)),
            tracing::Level::ERROR => tracing::error!(target: "agent", "{}", printable(message)),
        }
    }
}
