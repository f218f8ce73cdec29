//! How errors are shown to people: `error[CODE]: MESSAGE`, and a second line with what to do.
//!
//! An error type has a plain message (its `Display`), and says its code and its help through [`Explained`]. Only this
//! module puts the three together, so that all commands and all checks write them alike.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;

use crate::error_code::AnyCode;

/// An error that people see. Its `Display` is one sentence, without code and help.
pub trait Explained: Error {
    /// The code and the help. `None` if the message is complete: it lists problems that have codes of their own, or a
    /// program reads it.
    fn explanation(&self) -> Option<Explanation<'_>>;
}

/// What accompanies the message of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Stable code, explained in `docs/errors/`.
    pub code: AnyCode,
    /// What to do, if that is known.
    pub help: Option<Cow<'a, str>>,
}

impl<'a> Explanation<'a> {
    /// A code, and what to do.
    pub fn new(code: impl Into<AnyCode>, help: impl Into<Cow<'a, str>>) -> Explanation<'a> {
        Explanation { code: code.into(), help: Some(help.into()) }
    }
}

/// The text of an error for people, without a line end.
pub fn rendered(error: &dyn Explained) -> String {
    match error.explanation() {
        Some(Explanation { code, help }) => framed("error", &code, &error, help.as_deref()),
        None => error.to_string(),
    }
}

/// The text of one problem for people, without a line end. `severity` is `error`, `warning` or `note`.
pub fn framed(severity: &str, code: &dyn Display, message: &dyn Display, help: Option<&str>) -> String {
    let help = help.map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{severity}[{code}]: {message}{help}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[derive(Debug, thiserror::Error)]
    #[error("the message")]
    struct Example(Option<Explanation<'static>>);

    impl Explained for Example {
        fn explanation(&self) -> Option<Explanation<'_>> {
            self.0.clone()
        }
    }

    /// Scripts look for this form.
    #[test]
    fn an_error_is_shown_with_its_code_and_its_help() {
        let shown = |explanation| rendered(&Example(explanation));
        let whole = Explanation::new(ErrorCode::HostBusy, "try again");
        assert_eq!(shown(Some(whole)), "error[host-busy]: the message\n  help: try again");
        let foreign = Explanation { code: AnyCode::of("of-another-build"), help: None };
        assert_eq!(shown(Some(foreign)), "error[of-another-build]: the message");
        assert_eq!(shown(None), "the message");
    }
}
