//! Why a command failed: any error that can be explained, in the form in which people see it.

use std::error::Error;
use std::fmt;

use daca_base::Explained;
use daca_base::explanation::{Explanation, rendered};

/// Why a command failed. Its `Display` is the text for people, with code and help.
///
/// Every error type with an explanation turns into it by `?`; an error without one does not, so none loses its code on
/// the way to `main`.
#[derive(Debug)]
pub struct Failure(Box<dyn Explained + Send + Sync>);

impl Failure {
    /// A failure whose text is complete, such as a list of problems that have codes of their own.
    pub fn verbatim(text: String) -> Failure {
        Verbatim(text).into()
    }

    /// The error, if it is one of this type.
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        let error: &(dyn Error + 'static) = &*self.0;
        error.downcast_ref()
    }

    /// A failure of the operating system, which has no code. `work` is what the program was doing.
    pub fn at(work: &str, error: &dyn fmt::Display) -> Failure {
        Failure::verbatim(format!("{work}: {error}"))
    }
}

impl<E: Explained + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rendered(&*self.0))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Verbatim(String);

impl Explained for Verbatim {
    fn explanation(&self) -> Option<Explanation<'_>> {
        None
    }
}
