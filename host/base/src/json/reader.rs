//! Reads a value of a known form from a checked text, for serde. serde_json's own reader has no part in it: with the
//! feature `arbitrary_precision`, which any crate of a build can turn on for all others, it hands on numbers as objects
//! with a certain key, and nobody could tell them from objects that somebody has written so.

use std::borrow::Cow;

use serde::de::value::{
    BorrowedStrDeserializer, Error as FormError, MapAccessDeserializer, StringDeserializer,
};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::scan::{end_of_string, end_of_value, skip_space, string};
use super::{Error, UTF8_MARK, check};

/// Parses a value of a known form. The type must not contain a `serde_json::Value`.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let text = text.strip_prefix(UTF8_MARK).unwrap_or(text);
    check(text)?;
    T::deserialize(&mut Reader { text, at: 0 }).map_err(|error| Error::Form(error.to_string()))
}

/// The same for an object that somebody has sent: the error names the field. serde also takes a list for a struct, with
/// the fields in their order, which no caller is told of.
pub fn read_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let text = text.strip_prefix(UTF8_MARK).unwrap_or(text);
    check(text)?;
    if text.get(skip_space(text, 0)) != Some(&b'{') {
        return Err(Error::NotObject);
    }
    serde_path_to_error::deserialize(&mut Reader { text, at: 0 }).map_err(|error| {
        // A field that is missing has no place in the text; the parser's message names it.
        let is_of_a_field = error.path().iter().next().is_some();
        let field = if is_of_a_field { format!("the field {}: ", error.path()) } else { String::new() };
        Error::Form(format!("{field}{}", error.inner()))
    })
}

/// A place in a checked text. It recurses with the depth of the text, which is bounded.
struct Reader<'de> {
    text: &'de [u8],
    at: usize,
}

impl<'de> Reader<'de> {
    /// The first byte of the next token. A checked text has one wherever it is asked for.
    fn peek(&mut self) -> u8 {
        self.at = skip_space(self.text, self.at);
        self.text.get(self.at).copied().unwrap_or_default()
    }

    fn take_to(&mut self, end: usize) -> &'de [u8] {
        let token = self.text.get(self.at..end).unwrap_or_default();
        self.at = end;
        token
    }

    fn string(&mut self) -> Result<Cow<'de, str>, FormError> {
        let token = self.take_to(end_of_string(self.text, self.at));
        string(token).ok_or_else(|| FormError::custom("a text has half of a surrogate pair"))
    }

    /// A number, or one of the three words.
    fn plain<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, FormError> {
        let token = self.take_to(end_of_value(self.text, self.at));
        let text = match token {
            b"null" => return visitor.visit_unit(),
            b"true" => return visitor.visit_bool(true),
            b"false" => return visitor.visit_bool(false),
            number => std::str::from_utf8(number).unwrap_or_default(),
        };
        if let Ok(number) = text.parse() {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = text.parse() {
            return visitor.visit_i64(number);
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| FormError::custom("a number is too large"))?)
    }

    /// Ends a list or an object of which the form has taken what it wants.
    fn end<T>(&mut self, value: T) -> Result<T, FormError> {
        match self.peek() {
            b']' | b'}' => {
                self.at += 1;
                Ok(value)
            }
            _ => Err(FormError::custom("there are more items than expected")),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = FormError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self.peek() {
            b'{' => {
                let value = visitor.visit_map(Members::of(self))?;
                self.end(value)
            }
            b'[' => {
                let value = visitor.visit_seq(Members::of(self))?;
                self.end(value)
            }
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            _ => self.plain(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        if self.peek() != b'n' {
            return visitor.visit_some(self);
        }
        self.take_to(end_of_value(self.text, self.at));
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormError> {
        visitor.visit_newtype_struct(self)
    }

    /// The name of a variant, or an object whose only field has it, with what belongs to the variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        match self.peek() {
            b'{' => {
                let value = visitor.visit_enum(MapAccessDeserializer::new(Members::of(self)))?;
                self.end(value)
            }
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
                Cow::Owned(text) => visitor.visit_enum(StringDeserializer::new(text)),
            },
            // Which it refuses.
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        self.peek();
        self.at = end_of_value(self.text, self.at);
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

/// The items of a list, or the fields of an object.
struct Members<'r, 'de>(&'r mut Reader<'de>);

impl<'r, 'de> Members<'r, 'de> {
    /// Begins after the bracket.
    fn of(reader: &'r mut Reader<'de>) -> Members<'r, 'de> {
        reader.at += 1;
        Members(reader)
    }

    fn has_next(&mut self) -> bool {
        if self.0.peek() == b',' {
            self.0.at += 1;
        }
        !matches!(self.0.peek(), b']' | b'}' | 0)
    }
}

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = FormError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, FormError> {
        if !self.has_next() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.0).map(Some)
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = FormError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FormError> {
        if !self.has_next() {
            return Ok(None);
        }
        let key = match self.0.string()? {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)),
        };
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FormError> {
        // Past the colon.
        self.0.peek();
        self.0.at += 1;
        seed.deserialize(&mut *self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::json::{Error, MAX_DEPTH, read};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        Plain,
        With { part: u8 },
        Of(Vec<bool>),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(String);

    #[derive(Debug, PartialEq, Deserialize)]
    struct All {
        numbers: (u64, i8, f64, f32),
        kinds: Vec<Kind>,
        some: Option<Wrapped>,
        none: Option<u8>,
        unit: (),
        texts: BTreeMap<String, char>,
        #[serde(default)]
        absent: u8,
    }

    const TEXT: &str = r#" {"numbers" : [18446744073709551615, -3 , 0.1, 1e5], "more": [{"a": [1e999, "\ud800"]}],
        "kinds": ["plain", {"with": {"part": 7}}, {"of": [true, false]}, "pl\u0061in"], "some": "ü\n\u00e9",
        "none":null, "unit" : null ,"te\u0078ts": {"": "x", "\"\\": "\u00fc"}} "#;

    #[test]
    fn every_form_is_read() {
        let all = read::<All>(TEXT.as_bytes()).expect("it is read");
        let kinds = vec![Kind::Plain, Kind::With { part: 7 }, Kind::Of(vec![true, false]), Kind::Plain];
        let expected = All {
            numbers: (u64::MAX, -3, 0.1, 1e5),
            kinds,
            some: Some(Wrapped("ü\né".into())),
            none: None,
            unit: (),
            texts: [(String::new(), 'x'), ("\"\\".into(), 'ü')].into(),
            absent: 0,
        };
        assert_eq!(all, expected);
        assert_eq!(read::<Vec<Vec<()>>>(b"[ [ ] , [null] ]"), Ok(vec![vec![], vec![()]]));
    }

    #[test]
    fn another_form_is_refused_with_what_was_expected() {
        fn words<T: serde::de::DeserializeOwned>(text: &str) -> String {
            match read::<T>(text.as_bytes()) {
                Err(Error::Form(words)) => words,
                _ => panic!("{text} is refused for its form"),
            }
        }
        assert_eq!(words::<u8>("256"), "invalid value: integer `256`, expected u8");
        assert_eq!(words::<u64>("1.0"), "invalid type: floating point `1.0`, expected u64");
        assert_eq!(words::<f64>("1e400"), "a number is too large");
        assert_eq!(words::<(u8, u8)>("[1, 2, 3]"), "there are more items than expected");
        assert_eq!(words::<[u8; 2]>("[1]"), "invalid length 1, expected an array of length 2");
        assert_eq!(words::<Kind>(r#"{"with": {"part": 7}, "of": []}"#), "there are more items than expected");
        for (text, expected) in
            [("\"other\"", "unknown variant `other`"), ("7", "invalid type"), ("{}", "map")]
        {
            assert!(words::<Kind>(text).contains(expected), "{text}: {}", words::<Kind>(text));
        }
        assert_eq!(words::<String>(r#""\ud800""#), "a text has half of a surrogate pair");
    }

    #[test]
    fn the_deepest_text_is_read() {
        #[derive(Deserialize)]
        struct Nested(Vec<Nested>);
        let text = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        let mut nested = read::<Nested>(text.as_bytes()).expect("it is read");
        let mut depth = 1;
        while let Some(inner) = nested.0.pop() {
            (nested, depth) = (inner, depth + 1);
        }
        assert_eq!(depth, MAX_DEPTH);
    }
}
