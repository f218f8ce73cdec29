//! The lines of a head: the bytes that one may have, and what its name decides.

use crate::framing::Field;

/// Names that always pass: they determine how a request is read.
const ALWAYS: [&str; 6] = ["connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"];
/// Names that pass once: they determine the origin of a request, and the message that it brings.
pub(super) const ONCE: [&str; 12] = [
    "__key",
    "__offset",
    "__partition",
    "__timestamp",
    "__topic",
    "authorization",
    "content-encoding",
    "content-type",
    "dapr-api-token",
    "dapr-caller-app-id",
    "origin",
    "traceparent",
];

/// The treatment of a line beyond the limits.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kept {
    Always,
    /// The first one with this index in [`ONCE`].
    Once(usize),
    Never,
}

/// The treatment of the line with this name.
pub(super) fn kept(name: &[u8]) -> Kept {
    let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
    match ONCE.iter().position(&is) {
        Some(place) => Kept::Once(place),
        None if ALWAYS.iter().any(is) => Kept::Always,
        None => Kept::Never,
    }
}

/// What the line says of the end of the body.
pub(super) fn field(name: &[u8]) -> Option<Field> {
    match name {
        _ if name.eq_ignore_ascii_case(b"content-length") => Some(Field::ContentLength),
        _ if name.eq_ignore_ascii_case(b"transfer-encoding") => Some(Field::TransferEncoding),
        _ => None,
    }
}

/// The bytes of a name (RFC 9110, section 5.6.2).
pub(super) fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The bytes of a value (RFC 9110, section 5.5).
pub(super) fn is_of_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
