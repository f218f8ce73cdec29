//! Why there is no new folder, for people.

use std::path::PathBuf;

use daca_base::files::no_room;
use daca_base::{ErrorCode, Explained, Explanation};

/// Why there is no new folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name can be that of no agent.
    #[error("{name:?} cannot be the name of an agent: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no template in this language.
    #[error("there is no template for the language {name:?}")]
    Language {
        /// The language.
        name: String,
        /// The languages of the templates.
        known: String,
    },
    /// Something else is in the way.
    #[error("{folder}: {reason}")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        reason: &'static str,
    },
    /// A file or folder cannot be written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            Error::Name { .. } => (
                ErrorCode::NewNameInvalid,
                "begin with a letter, and go on with letters, digits, '-' and '_', 64 characters in all"
                    .to_owned(),
            ),
            Error::Language { known, .. } => (ErrorCode::NewLanguageUnknown, format!("use one of: {known}")),
            Error::NotEmpty { .. } => {
                (ErrorCode::NewFolderNotEmpty, "choose another name, or move it away".to_owned())
            }
            Error::Unwritable { path, reason } => {
                let help = no_room(path, reason);
                let otherwise = || "make the folder writable for this user, or go to another one".to_owned();
                (ErrorCode::NewUnwritable, help.unwrap_or_else(otherwise))
            }
        };
        Some(Explanation::new(code, help))
    }
}
