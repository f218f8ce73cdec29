//! The sidecar's token (`APP_API_TOKEN`): it sends the token with its callbacks, so that nobody else can make them.

use daca_base::{ErrorCode, Explained, Explanation};
use secrecy::SecretString;

/// The variable for the token, for the host and for the sidecar.
const VARIABLE: &str = "APP_API_TOKEN";

/// The token cannot be sent in a header.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE} {0}")]
pub struct Error(&'static str);

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let help = "give host and sidecar the same token, such as `openssl rand -hex 32` prints, or unset the variable";
        Some(Explanation::new(ErrorCode::AppTokenInvalid, help))
    }
}

/// The token of the environment; `None` if the variable is not set. White space around it is ignored: no header carries
/// it.
pub fn find() -> Result<Option<SecretString>, Error> {
    std::env::var_os(VARIABLE).map(|text| check(text.to_str())).transpose()
}

/// Returns `true` if the variable is set, whatever its value.
pub fn is_set() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// `None` is text that is not valid UTF-8.
fn check(text: Option<&str>) -> Result<SecretString, Error> {
    match text.map(str::trim) {
        // It would leave open what was meant to be closed: a Secret without a value, a variable that was not expanded.
        Some("") => Err(Error("is empty, or contains only white space")),
        Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => Ok(token.into()),
        _ => {
            Err(Error("contains a character other than visible ASCII, which a header cannot carry unchanged"))
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// A file that ends with a line end becomes such a variable, and the sidecar's header never has it.
    #[test]
    fn only_what_a_header_carries_is_a_token() {
        let of = |text| check(text).ok().map(|token| token.expose_secret().to_owned());
        assert_eq!(of(Some("secret\r\n")), Some("secret".to_owned()));
        for text in [Some(""), Some("\n"), Some("sec\nret"), Some("sécret"), None] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }
}
