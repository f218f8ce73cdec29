//! The findings of the check: each has a stable code, a place, a problem and a help.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use daca_base::ErrorCode;
use daca_base::explanation::framed;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// It will not work, or loses messages.
    Error,
    /// It works, but probably not as intended.
    Warning,
    /// Something was not checked.
    Note,
}

/// A place in a file. Line 0 is the whole file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) path: Arc<Path>,
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Location {
    /// A whole file or folder.
    pub(super) fn whole(path: &Path) -> Location {
        Location { path: path.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 { write!(f, ":{}:{}", self.line, self.column) } else { Ok(()) }
    }
}

/// One finding.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    code: ErrorCode,
    place: Location,
    message: String,
    help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { severity, code, place, message, help } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        f.write_str(&framed(severity, code, &format!("{place}: {message}"), Some(help)))
    }
}

/// All findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(
        &mut self,
        code: ErrorCode,
        place: &Location,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, code, place, message.into(), help.into());
    }

    pub(super) fn warning(
        &mut self,
        code: ErrorCode,
        place: &Location,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, code, place, message.into(), help.into());
    }

    pub(super) fn note(
        &mut self,
        code: ErrorCode,
        place: &Location,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Note, code, place, message.into(), help.into());
    }

    fn push(&mut self, severity: Severity, code: ErrorCode, place: &Location, message: String, help: String) {
        self.0.push(Finding { severity, code, place: place.clone(), message, help });
    }

    /// Returns `true` if one of them is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All of them as text, in the order of discovery.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(Finding::to_string).collect()
    }
}
