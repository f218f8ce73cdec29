//! What a JSON text means, as a hash. White space, the order of fields, and the escapes of a string make no difference.
//!
//! The text is read once, and without recursion. An object is kept as the hashes of its fields until it ends; of fields
//! with one name the last one counts, as in [`Document::field`]. A number means its digits, since agents see them: `1`
//! is not `1.0`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Document;
use super::scan::{end_of_string, is_space, string};

/// The beginning of a SHA-256.
type Hash = [u8; 16];

/// A list or an object whose end is still to come.
enum Open<'a> {
    List(Sha256),
    Object {
        fields: BTreeMap<Text<'a>, Hash>,
        /// The name of the field whose value comes next.
        key: Option<Text<'a>>,
    },
}

/// A string: its characters or, if it is not Unicode, its token.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Text<'a> {
    Unicode(Cow<'a, str>),
    Other(&'a [u8]),
}

/// A hash that two documents share if they mean the same, and otherwise only by chance.
pub fn meaning_of(document: &Document) -> Hash {
    let (text, mut at) = (&document.bytes()[..], 0);
    let mut open = Vec::<Open<'_>>::new();
    while let Some(byte) = text.get(at) {
        let token = &text[at..end_of_token(text, at)];
        at += token.len();
        let value = match byte {
            b',' | b':' => continue,
            byte if is_space(*byte) => continue,
            b'[' => {
                open.push(Open::List(Sha256::new_with_prefix(b"[")));
                continue;
            }
            b'{' => {
                open.push(Open::Object { fields: BTreeMap::new(), key: None });
                continue;
            }
            b']' | b'}' => match open.pop() {
                Some(ended) => ended.hash(),
                None => break,
            },
            b'"' => match (Text::of(token), open.last_mut()) {
                (name, Some(Open::Object { key: key @ None, .. })) => {
                    *key = Some(name);
                    continue;
                }
                (text, _) => text.hash(),
            },
            _ => hash(b"n", token),
        };
        match open.last_mut() {
            None => return value,
            Some(Open::List(digest)) => digest.update(value),
            Some(Open::Object { fields, key }) => {
                fields.extend(key.take().map(|key| (key, value)));
            }
        }
    }
    // A checked text has a value.
    Hash::default()
}

impl Open<'_> {
    fn hash(self) -> Hash {
        match self {
            Open::List(digest) => shortened(digest),
            Open::Object { fields, .. } => {
                let mut digest = Sha256::new_with_prefix(b"{");
                for (key, value) in &fields {
                    digest.update(key.hash());
                    digest.update(value);
                }
                shortened(digest)
            }
        }
    }
}

impl Text<'_> {
    fn of(token: &[u8]) -> Text<'_> {
        string(token).map_or(Text::Other(token), Text::Unicode)
    }

    fn hash(&self) -> Hash {
        match self {
            Text::Unicode(text) => hash(b"s", text.as_bytes()),
            Text::Other(token) => hash(b"o", token),
        }
    }
}

/// `kind` keeps the hashes of different kinds apart.
fn hash(kind: &[u8], bytes: &[u8]) -> Hash {
    shortened(Sha256::new_with_prefix(kind).chain_update(bytes))
}

fn shortened(digest: Sha256) -> Hash {
    digest.finalize().first_chunk().copied().unwrap_or_default()
}

fn end_of_token(text: &[u8], start: usize) -> usize {
    // Of numbers and of the three words.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match text.get(start) {
        Some(b'"') => end_of_string(text, start),
        _ => start + text[start..].iter().take_while(|byte| is_plain(**byte)).count().max(1),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::MAX_DEPTH;

    fn meaning(text: &str) -> Hash {
        meaning_of(&Document::parse(&Bytes::from(text.to_owned())).expect(text))
    }

    #[test]
    fn the_way_in_which_something_is_written_does_not_count() {
        for (one, other) in [
            (
                r#"{"a":1,"b":[2,{"c":null,"d":""}]}"#,
                " {\n\"b\" : [ 2, {\"d\":\"\",\"c\":null} ],\t\"a\":1 }\r\n",
            ),
            (r#"{"\u0061":"\u00e9\/"}"#, r#"{"a":"é/"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("[]", "[ ]"),
            ("-1.5e+3", " -1.5e+3"),
        ] {
            assert_eq!(meaning(one), meaning(other), "{one} {other}");
        }
    }

    #[test]
    fn what_means_something_else_has_another_hash() {
        let texts = [
            "1",
            "1.0",
            "\"1\"",
            "null",
            "\"null\"",
            "true",
            "\"\"",
            "[]",
            "{}",
            "[1]",
            "[[1]]",
            "[1,2]",
            "[2,1]",
            "[12]",
            "[\"1,2\"]",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"["a",1]"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"":{"a":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#"{"a":1,"b":{}}"#,
            r#"["\ud800"]"#,
            r#"["\\ud800"]"#,
            r#"{"\ud800":1}"#,
            r#"{"\ud801":1}"#,
        ];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[..at] {
                assert_ne!(meaning(one), meaning(other), "{one} {other}");
            }
        }
        let nested = |inner: &str| "[".repeat(MAX_DEPTH) + inner + &"]".repeat(MAX_DEPTH);
        assert_ne!(meaning(&nested("1")), meaning(&nested("2")));
    }
}
