//! Why a backend did not carry out a request: what every trait of the backend answers.

/// Why a backend did not carry out a request. The cases are those of the contract.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The named item does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request is invalid, and repeating it will not help.
    #[error("{0}")]
    Invalid(String),
    /// A later attempt may succeed. It is unknown whether the request was carried out.
    #[error("{0}")]
    Unavailable(String),
    /// A later attempt may succeed. The request was certainly not carried out.
    #[error("{0}")]
    NotApplied(String),
    /// The request exceeds a limit of the backend.
    #[error("{0}")]
    TooLarge(String),
    /// All actors of the type together have as much as the type may have on disk.
    #[error("{0}")]
    StorageExceeded(String),
    /// The actor has as many reminders and timers as its type allows.
    #[error("{0}")]
    TooManyRegistrations(String),
    /// A newer host has written what the request needs, in a form that this one does not read. It changes nothing of it.
    #[error("{0}")]
    TooNew(String),
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Returns `true` if a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::NotApplied(_) | Error::TooNew(_))
    }

    /// The case of the contract that a guest sees, as it is stored.
    pub fn case(&self) -> &'static str {
        match self {
            Error::NotFound(_) => "not-found",
            Error::Invalid(_) => "invalid",
            Error::Unavailable(_) | Error::NotApplied(_) | Error::TooNew(_) => "unavailable",
            Error::TooLarge(_) | Error::StorageExceeded(_) | Error::TooManyRegistrations(_) => "too-large",
            Error::Other(_) => "other",
        }
    }

    /// The error of a stored case. One that is not known is [`Error::Other`].
    pub fn of_case(case: &str, text: String) -> Error {
        match case {
            "not-found" => Error::NotFound(text),
            "invalid" => Error::Invalid(text),
            "unavailable" => Error::Unavailable(text),
            "too-large" => Error::TooLarge(text),
            _ => Error::Other(text),
        }
    }

    /// Converts the error of a step that precedes any change: nothing was done.
    pub fn as_not_applied(self) -> Error {
        match self {
            Error::Unavailable(text) => Error::NotApplied(text),
            error => error,
        }
    }
}
