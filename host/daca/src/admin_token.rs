//! The operator's token: the host requires it on its admin port, and the client commands send it.
//!
//! Both read it from the same two places, so one file or one variable serves a host and its operator.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use daca_base::files::open_regular;
use daca_base::{ErrorCode, Explained, Explanation};
use secrecy::SecretString;

/// The variable for the token when no file is given.
const VARIABLE: &str = "DACA_ADMIN_TOKEN";
/// The minimum length of a token: a shorter one can be guessed.
const MIN_LEN: usize = 16;
/// The maximum length of a token: it is in the head of every request.
const MAX_LEN: usize = 1024;

/// Why the given token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The content of the file or the variable.
    #[error("the token in {place} {reason}")]
    Invalid {
        /// The file or the variable.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(match self {
            Error::Unreadable { .. } => Explanation::new(
                ErrorCode::AdminTokenUnreadable,
                "name a file that holds the token with --admin-token-file FILE",
            ),
            Error::Invalid { .. } => Explanation::new(
                ErrorCode::AdminTokenInvalid,
                format!(
                    "use one of {MIN_LEN} to {MAX_LEN} visible ASCII characters, such as `openssl rand -hex 32` prints"
                ),
            ),
        })
    }
}

/// Reads the token from a file, or else from `DACA_ADMIN_TOKEN`; `None` if neither is given. White space at its end is
/// ignored. A file that others can read causes a warning in the log.
pub fn find(file: Option<&Path>) -> Result<Option<SecretString>, Error> {
    if let Some(path) = file {
        let text = read(path).map_err(|reason| Error::Unreadable { path: path.to_owned(), reason })?;
        return check(&text, || path.display().to_string()).map(Some);
    }
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
    check(&text.to_string_lossy(), || VARIABLE.to_owned()).map(Some)
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = open_regular(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            code = ErrorCode::AdminTokenExposed.as_str(),
            "{}: other users of this machine may read the admin token",
            path.display()
        );
    }
    let mut bytes = Vec::new();
    // Anything longer than a token and some blank lines is not a token.
    file.take(2 * MAX_LEN as u64).read_to_end(&mut bytes)?;
    daca_base::text::utf8(bytes)
}

fn check(text: &str, place: impl Fn() -> String) -> Result<SecretString, Error> {
    let token = text.trim_end();
    let reason = match token.len() {
        0 => "is empty",
        length if length < MIN_LEN => "is too short",
        length if length > MAX_LEN => "is too long",
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            "contains a space or another character that is not allowed"
        }
        _ => return Ok(token.into()),
    };
    Err(Error::Invalid { place: place(), reason })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// A token that anybody can guess, or that no header can carry, must not pass for protection.
    #[test]
    fn only_what_can_protect_is_a_token() {
        let of = |text: &str| check(text, String::new).ok().map(|token| token.expose_secret().to_owned());
        assert_eq!(of("0123456789abcdef\n"), Some("0123456789abcdef".to_owned()));
        for text in
            ["", "\n", "0123456789abcde", "0123456789abcde \n", "0123456789 abcdef", "0123456789abcdefü"]
        {
            assert_eq!(of(text), None, "{text:?}");
        }
        assert_eq!(of(&"x".repeat(MAX_LEN + 1)), None);
    }
}
