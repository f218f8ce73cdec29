//! `wasi:logging/logging`: a guest's lines, at the level that it chose.

use super::Imports;
use crate::contract::wasi::logging::logging::{Host, Level};

impl Host for Imports<'_> {
    fn log(&mut self, level: Level, context: String, message: String) {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error | Level::Critical => tracing::Level::ERROR,
        };
        let message = if context.is_empty() { message } else { format!("{context}: {message}") };
        self.log.log(level, &message);
    }
}
