//! Logs: one line for each event, as text for people or as JSON for machines.
//!
//! Lines of a turn have the fields of its span: agent type, actor id, turn id and component version. Whatever the
//! format on standard error ([`output`]), the last lines stay in memory as JSON ([`recent`]), for the host's admin API.

mod output;
mod recent;
mod span_fields;

use std::borrow::Cow;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::{ErrorCode, Explained, Explanation, panics};

pub use output::Output;
pub use recent::{Batch, LineReader, RecentLines};

use span_fields::SpanFields;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// The log of this process. A cheap handle.
#[derive(Clone)]
pub struct Log {
    /// The last lines.
    pub recent: RecentLines,
    /// The queue of lines for standard error.
    pub output: Output,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DACA_LOG` is malformed.
    #[error("DACA_LOG={directives:?}: {reason}")]
    Filter {
        /// Its value.
        directives: String,
        /// The problem.
        reason: String,
    },
    /// The system refused a thread or a file, or the log was started already.
    #[error("{0}")]
    Unavailable(String),
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(match self {
            Error::Filter { .. } => {
                Explanation::new(ErrorCode::LogFilterInvalid, "write it as \"debug\" or \"info,agent=debug\"")
            }
            Error::Unavailable(_) => Explanation { code: ErrorCode::LogUnavailable.into(), help: None },
        })
    }
}

/// Starts logging to standard error. `DACA_LOG` selects the lines, in the format of `RUST_LOG`; the default is `info`.
/// Called once, at the start of the program.
pub fn start(format: LogFormat) -> Result<Log, Error> {
    let filter = match std::env::var("DACA_LOG") {
        Ok(directives) if !directives.is_empty() => filter(directives)?,
        // The file watcher logs cleanup failures at `info`.
        _ => filter("info,notify=warn".to_owned())?,
    };
    let recent = RecentLines::new();
    let output = Output::stderr().map_err(|error| unavailable(&error))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => {
            use std::io::IsTerminal as _;
            let people = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(output.clone());
            registry.with(people).with(json(recent.clone())).try_init()
        }
        // A line that is needed in one format only is formatted once.
        LogFormat::Json => registry.with(json(output.clone().and(recent.clone()))).try_init(),
    };
    started.map_err(|error| unavailable(&error))?;
    // A panic is a defect that is caught where it happens; its details belong in the log, in the log's format.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or_default();
        let text = printable(text);
        match panics::expected() {
            Some(code) => tracing::error!(code = code.as_str(), "bad data, noticed at {place}: {text}"),
            None => tracing::error!(code = ErrorCode::Internal.as_str(), "defect at {place}: {text}"),
        }
    }));
    Ok(Log { recent, output })
}

/// The filter of lines. The one that knows all of the syntax takes locks whenever a span is entered or left, in case that
/// a directive names spans; most name none, and then need no more than a look at the target.
fn filter(directives: String) -> Result<Box<dyn Layer<Registry> + Send + Sync>, Error> {
    match EnvFilter::try_new(&directives) {
        Err(error) => Err(Error::Filter { reason: error.to_string(), directives }),
        Ok(general) => Ok(simple(&directives).map_or_else(|| general.boxed(), Layer::boxed)),
    }
}

/// The filter by targets alone, if both kinds of filter understand these directives in the same way.
fn simple(directives: &str) -> Option<Targets> {
    let is_simple = |directive: &str| {
        let has_all = !directive.is_empty() && !directive.ends_with('=');
        has_all && directive.chars().all(|c| c.is_ascii_alphanumeric() || "_-:=".contains(c))
    };
    directives.split(',').all(is_simple).then(|| directives.parse().ok()).flatten()
}

fn unavailable(error: &dyn std::error::Error) -> Error {
    Error::Unavailable(error.to_string())
}

/// The log for machines.
fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .fmt_fields(SpanFields)
        .with_writer(writer)
}

/// The bytes of an external text in one line of the log. The rest is cut.
pub const MAX_TEXT: usize = 8 * 1024;

/// The part of a text that is logged.
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// A text from a guest or a caller, made safe for a line of the log: it is shortened, and control characters are
/// escaped, so that nobody can forge a line or send commands to a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Format characters that reorder or hide what follows them are as bad as control characters.
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text = shortened(text);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

/// The same, in no more than `most` bytes and an ellipsis. `most` is less than [`MAX_TEXT`].
pub fn printable_within(text: &str, most: usize) -> Cow<'_, str> {
    match printable(text) {
        Cow::Borrowed(line) if line.len() <= most => Cow::Borrowed(line),
        line => Cow::Owned(ellipsized(line.into_owned(), most)),
    }
}

/// The same for a text that may have several lines, such as one with a stack, for people at a terminal: further lines are
/// indented, so that none of them looks like one of the host's. A text that this function has made stays as it is.
pub fn printable_lines(text: &str, most: usize) -> String {
    let mut made = String::new();
    for (number, line) in shortened(text).lines().enumerate() {
        if number > 0 {
            made.push_str(if line.starts_with("  ") { "\n" } else { "\n  " });
        }
        made.push_str(&printable(line));
    }
    ellipsized(made, most)
}

/// A text of at most so many bytes, with an ellipsis behind them if there were more.
pub fn ellipsized(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_is_one_line_of_a_bounded_length() {
        assert_eq!(printable_within("a \"b\" ü", 8), "a \"b\" ü");
        assert_eq!(printable_within("a\nb\u{202e}c", 20), r"a\nb\u{202e}c");
        assert_eq!(printable_within("aaaü", 4), "aaa…", "no character is cut in two");
        // What is escaped takes more bytes.
        assert_eq!(printable_within("\n\n\n", 4), r"\n\n…");
        assert_eq!(printable_within(&"x".repeat(2 * MAX_TEXT), 4), "xxxx…");
    }

    #[test]
    fn a_text_of_several_lines_has_no_line_that_is_taken_for_another_text() {
        let text = "TypeError\r\n    at f (a.ts:1:2)\nINFO forged\u{1b}[2J\n";
        let made = "TypeError\n    at f (a.ts:1:2)\n  INFO forged\\u{1b}[2J";
        assert_eq!(printable_lines(text, 100), made);
        assert_eq!(printable_lines(made, 100), made);
        assert_eq!(printable_lines("ab\ncd", 4), "ab\n …");
        assert_eq!(printable_lines(&"x".repeat(2 * MAX_TEXT), 4), "xxxx…");
    }
}
