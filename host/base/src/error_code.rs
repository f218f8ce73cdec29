//! The stable codes of errors and of log lines: an enum, so that a code cannot be misspelt, and none is without a page.
//!
//! A code has a class. The class says whether the same request may succeed later, and `daca-server` makes the HTTP
//! status from it: nothing here knows HTTP.

mod class;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

pub use class::Class;
pub use table::ErrorCode;

impl ErrorCode {
    /// Returns `true` if the same request may succeed later.
    pub fn is_retryable(self) -> bool {
        self.class().is_retryable()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// No error of this build has the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no code {0:?}")]
pub struct UnknownCode(pub String);

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<ErrorCode, UnknownCode> {
        let found = ErrorCode::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A code that may come from another host, whose build may have codes that this one does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyCode {
    /// A code of this build.
    Known(ErrorCode),
    /// A code of another build, which is passed on unchanged.
    Foreign(Arc<str>),
}

impl AnyCode {
    /// The code of this text.
    pub fn of(text: &str) -> AnyCode {
        text.parse::<ErrorCode>().map_or_else(|_| AnyCode::Foreign(text.into()), AnyCode::Known)
    }

    /// The code as people and programs see it.
    pub fn as_str(&self) -> &str {
        match self {
            AnyCode::Known(code) => code.as_str(),
            AnyCode::Foreign(text) => text,
        }
    }
}

impl From<ErrorCode> for AnyCode {
    fn from(code: ErrorCode) -> AnyCode {
        AnyCode::Known(code)
    }
}

impl PartialEq<ErrorCode> for AnyCode {
    fn eq(&self, other: &ErrorCode) -> bool {
        *self == AnyCode::Known(*other)
    }
}

impl fmt::Display for AnyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for AnyCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
