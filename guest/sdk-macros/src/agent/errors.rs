//! Several errors as one.

use syn::{Error, Result};

/// Gathers errors, to report all of them at once.
#[derive(Default)]
pub(super) struct Errors(Option<Error>);

impl Errors {
    pub(super) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            match &mut self.0 {
                Some(all) => all.combine(error),
                none => *none = Some(error),
            }
        }
    }

    /// Returns `true` if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
