//! The one reader of JSON that comes from outside: bodies, events, what guests publish, what lies in stores, answers.
//!
//! A text is checked once ([`Document::parse`]): its encoding, its syntax, and that it is nested no deeper than [`MOST_DEPTH`].
//! After that it is passed on as the bytes that it came as, and fields are slices of them. So numbers keep every digit, objects
//! keep the order of their fields, and no function here calls itself.
//!
//! Nothing from outside becomes a `serde_json::Value`. With serde_json's features `raw_value` and `arbitrary_precision`, which any
//! crate of a build can turn on for all others, `Value` takes the keys `$serde_json::private::RawValue` and
//! `$serde_json::private::Number` for its own: the first holds text that is parsed in place of the object, with a depth limit
//! that begins anew, so that 20 KB overflow the stack. Here they are keys like any other. `clippy.toml` keeps the rest of this
//! crate away from serde_json's own readers.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Lists and objects within one another, at most. Guests read one level less (serde_json's own limit).
pub const MOST_DEPTH: usize = 128;

/// Why a text is not JSON that the host takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is in another encoding, or compressed.
    #[error("it is {0}, and JSON is text in UTF-8")]
    Encoding(&'static str),
    /// It breaks off, or has what JSON does not know.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, and nested too deep.
    #[error("its lists and objects are nested more than {MOST_DEPTH} levels deep")]
    TooDeep,
    /// It is JSON of another form than what is read here.
    #[error("{0}")]
    Form(String),
}

/// What the bytes of other encodings begin with. UTF-32 comes before the UTF-16 that it looks like.
const OTHER_ENCODINGS: [(&[u8], &str); 7] = [
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x78\x9c", "compressed with deflate"),
];

/// The byte order mark of UTF-8. RFC 8259 lets a reader take no notice of it.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A JSON text that was checked. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(Bytes);

impl Document {
    /// Checks a text. A byte order mark of UTF-8 is left out.
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

    /// A JSON string.
    pub fn of_text(text: &str) -> Document {
        Document(serde_json::Value::from(text).to_string().into())
    }

    /// The bytes that it came as, without space around them.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Is it an object?
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Is it `null`?
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The text of a string; none for anything else, and for one that is no Unicode (half a surrogate pair).
    pub fn text(&self) -> Option<String> {
        string(&self.0).map(Cow::into_owned)
    }

    /// A field of an object: the last one of the name, as most readers have it.
    pub fn field(&self, name: &str) -> Option<Document> {
        let fields = Fields::of(&self.0).filter(|(key, _)| {
            let key = self.0.get(key.clone()).and_then(string);
            key.is_some_and(|key| key == name)
        });
        fields.last().map(|(_, value)| Document(self.0.slice(value)))
    }

    /// The same, where `null` counts as absent.
    pub fn present_field(&self, name: &str) -> Option<Document> {
        self.field(name).filter(|value| !value.is_null())
    }

    /// Lists and objects within one another.
    pub fn depth(&self) -> usize {
        depth(&self.0)
    }
}

impl fmt::Display for Document {
    /// In one line: without space between the values, and with each character of a string as it is, as far as JSON allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        // What lies between two places that are written otherwise is written as it is.
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

/// Reads a value whose form is known. The type must have no `serde_json::Value` in it.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let text = text.strip_prefix(UTF8_MARK).unwrap_or(text);
    check(text)?;
    #[expect(clippy::disallowed_methods, reason = "the text was checked, and the type is no Value")]
    serde_json::from_slice(text).map_err(|error| Error::Form(error.to_string()))
}

/// An object of the host's own, which has fields already, with one more.
pub fn with_field(object: &str, name: &str, value: &Document) -> Bytes {
    let open = object.strip_suffix('}').unwrap_or(object).as_bytes();
    [open, b",\"", name.as_bytes(), b"\":", value.bytes(), b"}"].concat().into()
}

/// Is this JSON that the host takes?
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
    // What is ignored is skipped in a loop, whatever its depth, and without any meaning of keys.
    #[expect(clippy::disallowed_methods, reason = "nothing is read, only skipped")]
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| Error::Syntax(error.to_string()))?;
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Error::Syntax(format!("the byte at {} is not UTF-8", error.valid_up_to())));
    }
    if depth(text) > MOST_DEPTH { Err(Error::TooDeep) } else { Ok(()) }
}

// What follows is for text that was checked. On other text it answers something, and does not fail.

fn depth(text: &[u8]) -> usize {
    let (mut at, mut depth, mut most) = (0, 0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
        at += 1;
    }
    most
}

/// What a string says.
fn string(token: &[u8]) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        #[expect(clippy::disallowed_methods, reason = "a string alone")]
        return serde_json::from_slice::<String>(token).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_space(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_space(**byte)).count()
}

/// Where the string ends that begins at a quote.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where the value ends that begins here.
fn end_of_value(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = text.get(at) {
        let is_end = match byte {
            b'"' => {
                at = end_of_string(text, at);
                true
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                false
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
                true
            }
            b'}' | b']' | b',' | b':' if depth == 0 => return at,
            byte if depth == 0 && is_space(*byte) => return at,
            _ => {
                at += 1;
                false
            }
        };
        if is_end && depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The fields of an object, in their order: where the key is, with its quotes, and where the value. Of anything else, none.
struct Fields<'a> {
    text: &'a [u8],
    /// Before the next key.
    at: usize,
}

impl Fields<'_> {
    fn of(text: &[u8]) -> Fields<'_> {
        let at = if text.first() == Some(&b'{') { 1 } else { text.len() };
        Fields { text, at }
    }
}

impl Iterator for Fields<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = skip_space(self.text, self.at);
        if self.text.get(key) != Some(&b'"') {
            return None;
        }
        let key_end = end_of_string(self.text, key);
        let colon = skip_space(self.text, key_end);
        let value = skip_space(self.text, colon + 1);
        let value_end = end_of_value(self.text, value);
        // Past the comma, or the end of the object.
        self.at = skip_space(self.text, value_end) + 1;
        Some((key..key_end, value.min(value_end)..value_end))
    }
}

#[cfg(test)]
mod tests;
