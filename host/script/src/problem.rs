//! What is wrong with a script, for its author.

use std::borrow::Cow;

use oxc::diagnostics::OxcDiagnostic;

/// The bytes of a message. One of the parser may quote an identifier, which may be as long as a script.
const MAX_MESSAGE: usize = 1024;
/// The bytes of a name in a message.
const MAX_NAME: usize = 100;

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{line}:{column}: {message}")]
pub struct Problem {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// For people.
    pub message: String,
}

impl Problem {
    /// A problem at a byte of the source.
    pub(crate) fn at(source: &str, offset: u32, message: impl Into<String>) -> Problem {
        let mut end = (offset as usize).min(source.len());
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = source.get(..end).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let message: String = message.into();
        // It becomes a part of one line.
        let message = shortened(message.trim_end(), MAX_MESSAGE).into_owned();
        Problem { line: count(line), column: count(column), message }
    }

    pub(crate) fn of(source: &str, diagnostic: &OxcDiagnostic) -> Problem {
        let offset = diagnostic.labels.iter().next().map_or(0, |label| label.span().start);
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        Problem::at(source, offset, format!("{}{help}", diagnostic.message))
    }
}

/// A name of the script's, as a message quotes it.
pub(crate) fn quoted(name: &str) -> Cow<'_, str> {
    shortened(name, MAX_NAME)
}

/// A copy of what `daca_base::telemetry` does: this crate depends on no other one of the host.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.len() > most {
        true => Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(most)])),
        false => Cow::Borrowed(text),
    }
}
