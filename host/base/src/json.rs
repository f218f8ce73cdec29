//! The only parser of external JSON: bodies, events, guests' events, stored values, answers.
//!
//! A text is checked once ([`Document::parse`]): its encoding, its syntax, and that it is nested no deeper than
//! [`MAX_DEPTH`]. After that its original bytes are passed on, and fields are slices of them. So numbers keep every
//! digit, objects keep the order of their fields, and only the reader of known forms is recursive.
//!
//! External JSON never becomes a `serde_json::Value`. With serde_json's features `raw_value` and `arbitrary_precision`,
//! which any crate of a build can turn on for all others, `Value` gives a special meaning to the keys
//! `$serde_json::private::RawValue` and `$serde_json::private::Number`: the first contains text that is parsed in place
//! of the object, with a new depth limit, so that 20 KB overflow the stack. Here they are ordinary keys, also among
//! fields that a type does not know, which `reader` reads. `clippy.toml` keeps the host's crates away from serde_json's own
//! readers.

mod beginning;
mod meaning;
mod reader;
mod scan;
mod unknown;
mod writer;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::IgnoredAny;

pub use meaning::meaning_of;
pub use reader::{read, read_object};
use scan::{Fields, Items, depth, end_of_string, is_deeper, is_space, skip_space, string};
pub use unknown::UnknownFields;
pub use writer::ObjectWriter;

/// The maximum depth of nested lists and objects. Guests read one level less (serde_json's own limit).
pub const MAX_DEPTH: usize = 128;

/// Why a text is not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is in another encoding, or compressed.
    #[error("it is {0}, and JSON is text in UTF-8")]
    Encoding(&'static str),
    /// It is truncated, or not valid JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but nested too deeply.
    #[error("its lists and objects are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It is JSON, but not an object.
    #[error("it is not an object")]
    NotObject,
    /// It is JSON, but not of the expected form.
    #[error("{0}")]
    Form(String),
}

/// The first bytes of other encodings. UTF-32 comes before UTF-16, which it resembles.
const OTHER_ENCODINGS: [(&[u8], &str); 7] = [
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x78\x9c", "compressed with deflate"),
];

/// The byte order mark of UTF-8. RFC 8259 allows a parser to ignore it.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A checked JSON text. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(Bytes);

impl Document {
    /// Checks a text. A byte order mark of UTF-8 is removed.
    pub fn parse(text: &Bytes) -> Result<Document, Error> {
        let text = match text.strip_prefix(UTF8_MARK) {
            Some(rest) => text.slice_ref(rest),
            None => text.clone(),
        };
        check(&text)?;
        let all =
            skip_space(&text, 0)..text.len() - text.iter().rev().take_while(|byte| is_space(**byte)).count();
        Ok(Document(text.slice(all)))
    }

    /// What serde writes of a value of the host's own, of about so many bytes. That is JSON, so it is not parsed again; the
    /// type must not be nested deeper than [`MAX_DEPTH`], as it could be if it contained itself.
    pub fn of_own(value: &impl Serialize, bytes: usize) -> Result<Document, Error> {
        let mut text = Vec::with_capacity(bytes);
        serde_json::to_writer(&mut text, value).map_err(|error| Error::Form(error.to_string()))?;
        Ok(Document(text.into()))
    }

    /// A JSON string.
    pub fn of_text(text: &str) -> Document {
        Document(serde_json::Value::from(text).to_string().into())
    }

    /// The original bytes, without surrounding whitespace.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Returns `true` for an object.
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Returns `true` for `null`.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The text of a string; `None` for anything else, and for one that is not Unicode (half a surrogate pair).
    pub fn text(&self) -> Option<String> {
        string(&self.0).map(Cow::into_owned)
    }

    /// A field of an object: the last one of this name, as in most parsers.
    pub fn field(&self, name: &str) -> Option<Document> {
        let [field] = self.fields_named([name]);
        field
    }

    /// The same for several fields at once: the text is read once.
    pub fn fields_named<const N: usize>(&self, names: [&str; N]) -> [Option<Document>; N] {
        let mut found = [const { None }; N];
        for (key, value) in Fields::of(&self.0) {
            let Some(key) = self.0.get(key).and_then(string) else { continue };
            if let Some(place) = names.iter().position(|name| key == *name) {
                found[place] = Some(value);
            }
        }
        found.map(|value| value.map(|value| Document(self.0.slice(value))))
    }

    /// The same, where `null` counts as absent.
    pub fn present_field(&self, name: &str) -> Option<Document> {
        self.field(name).filter(|value| !value.is_null())
    }

    /// The fields of an object with their names, in order. Empty for anything else. One whose name is not Unicode is left
    /// out.
    pub fn fields(&self) -> impl Iterator<Item = (String, Document)> {
        Fields::of(&self.0).filter_map(|(key, value)| {
            let name = self.0.get(key).and_then(string)?;
            Some((name.into_owned(), Document(self.0.slice(value))))
        })
    }

    /// The items of a list, in order. Empty for anything else.
    pub fn items(&self) -> impl Iterator<Item = Document> {
        Items::of(&self.0).map(|item| Document(self.0.slice(item)))
    }

    /// The depth of nested lists and objects.
    pub fn depth(&self) -> usize {
        depth(&self.0)
    }

    /// Returns `true` if lists and objects are nested deeper than this. Faster than their depth.
    pub fn is_deeper_than(&self, most: usize) -> bool {
        is_deeper(&self.0, most)
    }
}

impl fmt::Display for Document {
    /// In one line: without whitespace between the values, and with each character of a string unescaped, as far as
    /// JSON allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        // Everything between two changed positions is copied.
        let (mut written, mut at) = (0, 0);
        while let Some(byte) = text.get(at) {
            let end = if *byte == b'"' { end_of_string(text, at) } else { at + 1 };
            let token = &text[at..end];
            let is_escaped = token.len() > 1 && token.contains(&b'\\');
            if is_space(*byte) || is_escaped {
                f.write_str(&String::from_utf8_lossy(&text[written..at]))?;
                written = end;
            }
            if is_escaped {
                match string(token) {
                    Some(text) => write!(f, "{}", serde_json::Value::from(text))?,
                    None => f.write_str(&String::from_utf8_lossy(token))?,
                }
            }
            at = end;
        }
        f.write_str(&String::from_utf8_lossy(&text[written..]))
    }
}

/// An object of the host's own, which already has fields, with one more.
pub fn with_field(object: &str, name: &str, value: &Document) -> Bytes {
    let open = object.strip_suffix('}').unwrap_or(object).as_bytes();
    [open, b",\"", name.as_bytes(), b"\":", value.bytes(), b"}"].concat().into()
}

/// Returns `true` for acceptable JSON that may be passed on as it is: for one with a byte order mark, [`Document::bytes`] may.
pub fn is_json(text: &[u8]) -> bool {
    check(text).is_ok()
}

fn check(text: &[u8]) -> Result<(), Error> {
    let is_like = |(start, _): &&(&[u8], &str)| text.starts_with(start);
    if let Some((_, name)) = OTHER_ENCODINGS.iter().find(is_like) {
        return Err(Error::Encoding(name));
    }
    // `{`, `[` or `"` between zeros: UTF-16 without a byte order mark.
    if let [0, first, ..] | [first, 0, ..] = text
        && first.is_ascii_graphic()
    {
        return Err(Error::Encoding("UTF-16"));
    }
    // Ignored values are skipped in a loop, whatever their depth, and without any meaning of keys.
    #[expect(clippy::disallowed_methods, reason = "nothing is read, only skipped")]
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| Error::Syntax(error.to_string()))?;
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Error::Syntax(format!("the byte at {} is not UTF-8", error.valid_up_to())));
    }
    if is_deeper(text, MAX_DEPTH) { Err(Error::TooDeep) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
