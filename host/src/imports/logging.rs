//! `wasi:logging/logging`, and the bound on what a turn may log by any way.
//!
//! The host's span of the turn adds agent type, actor id, turn id and component version to each line.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::component::InstanceState;
use crate::component::bindings::wasi::logging::logging::{Host, Level};
use crate::telemetry::printable;

impl Host for InstanceState {
    fn log(&mut self, level: Level, context: String, message: String) {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error | Level::Critical => tracing::Level::ERROR,
        };
        let message = if context.is_empty() { message } else { format!("{context}: {message}") };
        self.log_budget().log(level, &message);
    }
}

/// Lines that the present turn may still log. Shared by the logging interface and the standard streams.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    left: AtomicU32,
    left_out: AtomicU32,
}

impl LogBudget {
    /// Begins a turn.
    pub(crate) fn restart(&self, lines: u32) {
        self.left.store(lines, Ordering::Relaxed);
        self.left_out.store(0, Ordering::Relaxed);
    }

    /// Ends a turn: says how much was left out.
    pub(crate) fn finish(&self) {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(
                code = "log-lines-exceeded",
                "{left_out} more log lines of this turn are left out"
            );
        }
    }

    /// Takes one line; false when none is left.
    pub(crate) fn take(&self) -> bool {
        let took =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !took {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        took
    }

    /// Writes a guest's line into the log, within the budget.
    pub(super) fn log(&self, level: tracing::Level, message: &str) {
        if !self.take() {
            return;
        }
        // Within the macros, so that a line that nobody wants costs nothing.
        match level {
            tracing::Level::TRACE => tracing::trace!(target: "agent", "{}", printable(message)),
            tracing::Level::DEBUG => tracing::debug!(target: "agent", "{}", printable(message)),
            tracing::Level::INFO => tracing::info!(target: "agent", "{}", printable(message)),
            tracing::Level::WARN => tracing::warn!(target: "agent", "{}", printable(message)),
            tracing::Level::ERROR => tracing::error!(target: "agent", "{}", printable(message)),
        }
    }
}
