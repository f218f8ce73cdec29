//! Text files written by people: UTF-8, with or without a byte order mark, of a bounded size.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The maximum size of a file in bytes. Nobody writes so much by hand.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads a file. The error names the cause, such as another encoding.
pub fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {MAX_FILE} bytes")));
    }
    utf8(bytes)
}

/// The text of bytes, without a byte order mark. The error never quotes them: they may be a secret.
pub fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let wrong = |text: String| io::Error::new(ErrorKind::InvalidData, text);
    // A mark, or the pattern of ASCII; UTF-32 first, which begins as UTF-16 does.
    if matches!(
        bytes[..],
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=0x7f, ..] | [1..=0x7f, 0, 0, 0, ..]
    ) {
        return Err(wrong("it is UTF-32; save it as UTF-8".into()));
    }
    if matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..]) {
        return Err(wrong("it is UTF-16; save it as UTF-8".into()));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| wrong(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1)))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
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
}
