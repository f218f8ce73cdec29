//! JSON, the outside format of typed values. Private; every module with typed values uses it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Returns `null` for empty bytes.
pub(crate) fn or_null(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"null" } else { bytes }
}

/// The depth of nested lists and objects that serde_json reads. It writes deeper ones.
const MAX_DEPTH: usize = 127;

/// `what` names the value in an error's message. A value that could not be read again is rejected.
pub(crate) fn encode<T: Serialize + ?Sized>(what: impl fmt::Display, value: &T) -> Result<Vec<u8>, Error> {
    readable(value).map_err(|reason| Error::Invalid(format!("{what} cannot be written as JSON: {reason}")))
}

/// The JSON of a value. An error if it could not be read again.
pub(crate) fn readable<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let text = serde_json::to_vec(value).map_err(|e| e.to_string())?;
    if depth(&text) > MAX_DEPTH {
        let reason = format!("its lists and objects are nested more than {MAX_DEPTH} levels deep");
        return Err(format!("{reason}, and it could not be read again"));
    }
    Ok(text)
}

/// The depth of nested lists and objects in a JSON text.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// `what` names the value in an error's message.
pub(crate) fn decode<T: DeserializeOwned>(what: impl fmt::Display, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Undecodable(format!("{what}: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Nested lists.
    fn nested(depth: usize) -> Value {
        (1..depth).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn what_is_written_can_be_read_again_and_what_cannot_is_refused() {
        let text = encode("it", &nested(MAX_DEPTH)).expect("it is not too deep");
        assert_eq!(decode::<Value>("it", &text), Ok(nested(MAX_DEPTH)));
        let error = encode("it", &[nested(MAX_DEPTH)]).expect_err("it is too deep");
        assert!(matches!(&error, Error::Invalid(text) if text.contains("127")), "{error}");
        let brackets = ["[{".repeat(200), "\\\"[".repeat(200)];
        assert!(encode("text", &brackets).is_ok());
    }
}
