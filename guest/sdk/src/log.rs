//! Lines in the host's log. The host adds agent type, actor id, turn and component version.
//!
//! The macros take what `format!` takes:
//!
//! ```no_run
//! use daca_sdk::log;
//!
//! let sum = 3;
//! log::info!("the sum is {sum}");
//! ```
//!
//! A line is written at once, and stays even if the call fails later. The host may truncate long lines, and drop lines
//! when there are too many. Lines printed with `println!` and `eprintln!` reach the log, too.

use std::fmt;

use crate::rt::bindings::actor::wasi::logging::logging as host;

#[doc(inline)]
pub use crate::{__debug as debug, __error as error, __info as info, __trace as trace, __warn as warn};

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Details of the control flow.
    Trace,
    /// Useful for debugging.
    Debug,
    /// A normal event.
    Info,
    /// An unexpected condition.
    Warn,
    /// A failure.
    Error,
    /// A failure after which the agent cannot continue.
    Critical,
}

/// Writes a line. `context` names the part of the agent that writes it. It may be empty, as it is with the macros.
pub fn write(level: Level, context: &str, message: fmt::Arguments<'_>) {
    let level = match level {
        Level::Trace => host::Level::Trace,
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
        Level::Critical => host::Level::Critical,
    };
    match message.as_str() {
        Some(message) => host::log(level, context, message),
        None => host::log(level, context, &message.to_string()),
    }
}

/// Writes a line at level trace.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Trace, "", ::core::format_args!($($message)+)) };
}

/// Writes a line at level debug.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, "", ::core::format_args!($($message)+)) };
}

/// Writes a line at level info.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, "", ::core::format_args!($($message)+)) };
}

/// Writes a line at level warn.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, "", ::core::format_args!($($message)+)) };
}

/// Writes a line at level error.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, "", ::core::format_args!($($message)+)) };
}
