//! Text files written by people: UTF-8, with or without a byte order mark, of a bounded size.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::files::read_bounded;

/// The maximum size of a file in MiB. Nobody writes so much by hand.
const MAX_MEBIBYTES: u64 = 16;

/// Reads a regular file. The error names the cause, such as another encoding.
pub fn read(path: &Path) -> io::Result<String> {
    read_up_to(path, MAX_MEBIBYTES)
}

/// The same for a file of at most so many MiB.
pub fn read_up_to(path: &Path, mebibytes: u64) -> io::Result<String> {
    let most = mebibytes << 20;
    let bytes = read_bounded(path, most + 1)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {mebibytes} MiB")));
    }
    utf8(bytes)
}

/// The text of bytes, without a byte order mark. The error never quotes them: they may be a secret.
pub fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let wrong = |text: String| io::Error::new(ErrorKind::InvalidData, text);
    if let Some(encoding) = other_encoding(&bytes) {
        return Err(wrong(format!("it is {encoding}; save it as UTF-8")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| wrong(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1)))?;
    if let Some(at) = text.find('\0') {
        return Err(wrong(format!("it is not a text: byte {} is 0", at + 1)));
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

/// The name of an encoding other than UTF-8. It begins with a mark or with the pattern of ASCII, and all of it is text:
/// the zeros alone are in many binary files, too.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    // First, because UTF-32 begins as UTF-16 does.
    let is_utf32 = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=0x7f, 0, 0, 0, ..] => is_utf32(bytes, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=0x7f, ..] => is_utf32(bytes, u32::from_be_bytes),
        _ => false,
    };
    let is_utf16 = match bytes {
        [0xff, 0xfe, ..] | [1..=0x7f, 0, ..] => is_utf16(bytes, u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] => is_utf16(bytes, u16::from_be_bytes),
        _ => false,
    };
    if is_utf32 { Some("UTF-32") } else { is_utf16.then_some("UTF-16") }
}

fn is_utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> bool {
    let (units, rest) = bytes.as_chunks::<4>();
    rest.is_empty() && units.iter().all(|bytes| char::from_u32(unit(*bytes)).is_some_and(is_of_text))
}

fn is_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let (units, rest) = bytes.as_chunks::<2>();
    let mut characters = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
    rest.is_empty() && characters.all(|character| character.is_ok_and(is_of_text))
}

fn is_of_text(character: char) -> bool {
    !character.is_control() || matches!(character, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_text_and_another_encoding_is_named() {
        let of = |bytes: &[u8]| utf8(bytes.to_vec()).map_err(|error| error.to_string());
        assert_eq!(of("\u{feff}a = 1".as_bytes()), Ok("a = 1".to_owned()));
        assert_eq!(of(b""), Ok(String::new()));
        for bytes in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a", b"a\0=\0", b"\0a\0="] {
            assert_eq!(of(bytes), Err("it is UTF-16; save it as UTF-8".to_owned()), "{bytes:?}");
        }
        for bytes in [&b"\xff\xfe\0\0a\0\0\0"[..], b"\0\0\xfe\xff\0\0\0a", b"a\0\0\0", b"\0\0\0a"] {
            assert_eq!(of(bytes), Err("it is UTF-32; save it as UTF-8".to_owned()), "{bytes:?}");
        }
        assert_eq!(of(b"abc\xe9"), Err("byte 4 is not UTF-8".to_owned()));
    }

    /// Its zeros may lie as those of UTF-16 do, and nobody can save it as UTF-8.
    #[test]
    fn what_is_no_text_is_not_called_another_encoding() {
        let of = |bytes: &[u8]| utf8(bytes.to_vec()).map_err(|error| error.to_string());
        for bytes in [&b"\0\x01\x02\x03\xff"[..], b"\x01\0\0\0\x90\0\0\0", b"\xff\xfe\x01\0", b"a\0\xff"] {
            let refused = of(bytes).expect_err("no text");
            assert!(refused.contains("byte ") && !refused.contains("UTF-16;"), "{bytes:?}: {refused}");
            assert!(!refused.contains("UTF-32"), "{bytes:?}: {refused}");
        }
        assert_eq!(of(b"ab\0\x01"), Err("it is not a text: byte 3 is 0".to_owned()));
    }

    /// A pipe has no end until its last writer leaves, and a device such as `/dev/zero` has none at all.
    #[test]
    fn what_has_no_end_is_not_read() {
        let refused = read(Path::new("/dev/zero")).expect_err("a device");
        assert_eq!(refused.to_string(), "it is a device, and not a regular file");
    }
}
