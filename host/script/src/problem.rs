//! What is wrong with a script, for its author.

use oxc::diagnostics::OxcDiagnostic;

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
        let message = message.trim_end().to_owned();
        Problem { line: count(line), column: count(column), message }
    }

    pub(crate) fn of(source: &str, diagnostic: &OxcDiagnostic) -> Problem {
        let offset = diagnostic.labels.iter().next().map_or(0, |label| label.span().start);
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        Problem::at(source, offset, format!("{}{help}", diagnostic.message))
    }
}
