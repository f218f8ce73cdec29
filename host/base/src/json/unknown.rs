//! Fields that this release does not know: a newer host has written them into something that hosts share. They are kept,
//! so that a host of this release writes them back with what it changes.
//!
//! A type of serde has them as `#[serde(flatten)] unknown: UnknownFields`; forms that are written by hand take them from
//! the [`Document`]. Numbers are kept as far as 64 bits reach. The values are no `serde_json::Value`, for the reasons
//! that [`super`] gives.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Document, Error, read};

/// The values of one object's unknown fields, with those within them.
const MAX_VALUES: usize = 1_000;
/// The bytes of their names and texts.
const MAX_BYTES: usize = 64 * 1024;

/// The fields of an object that this release does not know. Most objects have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownFields(BTreeMap<String, KeptValue>);

/// A JSON value that nobody looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeptValue {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// The bits of any other number.
    Float(u64),
    Text(String),
    List(Vec<KeptValue>),
    Object(BTreeMap<String, KeptValue>),
}

impl UnknownFields {
    /// The fields of an object that have none of these names.
    pub fn of(object: &Document, known: &[&str]) -> Result<UnknownFields, Error> {
        let mut fields = BTreeMap::new();
        for (name, value) in object.fields() {
            if !known.contains(&name.as_str()) {
                fields.insert(name, read(value.bytes())?);
            }
        }
        UnknownFields(fields).bounded().map_err(|reason| Error::Form(reason.to_owned()))
    }

    /// Adds them to an object of the host's own, which already has fields.
    pub fn add_to(&self, object: &mut Vec<u8>) {
        if self.0.is_empty() || object.pop_if(|end| *end == b'}').is_none() {
            return;
        }
        let fields = object_of(&self.0).to_string();
        object.push(b',');
        object.extend_from_slice(fields.strip_prefix('{').unwrap_or(&fields).as_bytes());
    }

    fn bounded(self) -> Result<UnknownFields, &'static str> {
        let (values, bytes) = size_of_object(&self.0);
        if values > MAX_VALUES || bytes > MAX_BYTES {
            return Err("it has more unknown fields than a host keeps");
        }
        Ok(self)
    }
}

/// The number of values, and the bytes of names and texts.
fn size_of_object(fields: &BTreeMap<String, KeptValue>) -> (usize, usize) {
    fields.iter().fold((0, 0), |(values, bytes), (name, value)| {
        let (more_values, more_bytes) = value.size();
        (values + more_values, bytes + name.len() + more_bytes)
    })
}

fn object_of(fields: &BTreeMap<String, KeptValue>) -> serde_json::Value {
    fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
}

impl KeptValue {
    fn size(&self) -> (usize, usize) {
        let (values, bytes) = match self {
            KeptValue::Text(text) => (0, text.len()),
            KeptValue::List(items) => items.iter().fold((0, 0), |(values, bytes), item| {
                let (more_values, more_bytes) = item.size();
                (values + more_values, bytes + more_bytes)
            }),
            KeptValue::Object(fields) => size_of_object(fields),
            _ => (0, 0),
        };
        (values + 1, bytes)
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            KeptValue::Null => serde_json::Value::Null,
            KeptValue::Bool(value) => (*value).into(),
            KeptValue::Unsigned(number) => (*number).into(),
            KeptValue::Signed(number) => (*number).into(),
            KeptValue::Float(bits) => f64::from_bits(*bits).into(),
            KeptValue::Text(text) => text.as_str().into(),
            KeptValue::List(items) => items.iter().map(KeptValue::to_json).collect(),
            KeptValue::Object(fields) => object_of(fields),
        }
    }
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value.to_json())))
    }
}

impl<'de> Deserialize<'de> for UnknownFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UnknownFields, D::Error> {
        let fields = BTreeMap::deserialize(deserializer)?;
        UnknownFields(fields).bounded().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for KeptValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeptValue, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = KeptValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<KeptValue, E> {
        Ok(KeptValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<KeptValue, E> {
        Ok(KeptValue::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<KeptValue, E> {
        Ok(KeptValue::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<KeptValue, E> {
        Ok(KeptValue::Signed(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<KeptValue, E> {
        Ok(KeptValue::Float(number.to_bits()))
    }

    fn visit_str<E>(self, text: &str) -> Result<KeptValue, E> {
        Ok(KeptValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<KeptValue, E> {
        Ok(KeptValue::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<KeptValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(KeptValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<KeptValue, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, KeptValue>()? {
            object.insert(name, value);
        }
        Ok(KeptValue::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Known {
        number: u64,
        #[serde(default)]
        list: Vec<u32>,
        #[serde(flatten)]
        unknown: UnknownFields,
    }

    const NEWER: &str =
        r#"{"number":7,"a":[18446744073709551615,-3,0.25,null,true],"list":[1],"b":{"c":"ü\n","d":{}}}"#;

    fn parse(text: &str) -> Document {
        Document::parse(&text.to_owned().into()).expect("it is JSON")
    }

    #[test]
    fn fields_that_this_release_does_not_know_are_written_again() {
        let mut known = read::<Known>(NEWER.as_bytes()).expect("it is read");
        assert_eq!((known.number, known.list.as_slice()), (7, &[1][..]));
        known.number = 8;
        let again = serde_json::to_vec(&known).expect("it is written");
        assert_eq!(read::<Known>(&again).expect("it is read again"), known);
        let again = parse(&String::from_utf8_lossy(&again));
        for name in ["a", "b", "list"] {
            assert_eq!(again.field(name), parse(NEWER).field(name), "{name}");
        }
        let none = read::<Known>(br#"{"number":7}"#).expect("it is read");
        assert_eq!(serde_json::to_string(&none).expect("it is written"), r#"{"number":7,"list":[]}"#);
    }

    #[test]
    fn a_form_that_is_written_by_hand_keeps_them_as_well() {
        let unknown = UnknownFields::of(&parse(NEWER), &["number", "list"]).expect("they are kept");
        let mut object = br#"{"number":8}"#.to_vec();
        unknown.add_to(&mut object);
        let again = parse(&String::from_utf8_lossy(&object));
        assert_eq!(again.field("number"), Some(parse("8")));
        for name in ["a", "b"] {
            assert_eq!(again.field(name), parse(NEWER).field(name), "{name}");
        }
        let mut object = br#"{"number":8}"#.to_vec();
        UnknownFields::of(&parse(r#"{"number":7}"#), &["number"]).expect("none").add_to(&mut object);
        assert_eq!(object, br#"{"number":8}"#);
    }

    /// Whatever features serde_json has in this build.
    #[test]
    fn no_name_has_a_meaning_of_its_own() {
        for name in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
            let inner = format!(r#"{{"{name}":"1"}}"#);
            for value in [r#""1""#, r#""abc""#, r#""""#, "7", inner.as_str()] {
                let text = format!(r#"{{"number":7,"list":[],"new":{{"{name}":{value}}}}}"#);
                let known = read::<Known>(text.as_bytes()).expect("it is read");
                assert_eq!(serde_json::to_string(&known).expect("it is written"), text);
                let unknown = UnknownFields::of(&parse(&text), &["number", "list"]).expect("they are kept");
                assert_eq!(unknown, known.unknown);
                let mut object = br#"{"number":7,"list":[]}"#.to_vec();
                unknown.add_to(&mut object);
                assert_eq!(String::from_utf8_lossy(&object), text);
            }
        }
        let escaped = read::<Known>(br#"{"number":7,"new":{"\u0024serde_json::private::Number":"\u0031"}}"#);
        let plain = read::<Known>(br#"{"number":7,"new":{"$serde_json::private::Number":"1"}}"#);
        assert!(escaped.is_ok() && escaped == plain, "{escaped:?}");
    }

    #[test]
    fn they_are_bounded() {
        let long = format!(r#"{{"number":7,"new":"{}"}}"#, "x".repeat(MAX_BYTES));
        let many = format!(r#"{{"number":7,"new":[{}1]}}"#, "1,".repeat(MAX_VALUES));
        for text in [long, many] {
            assert!(read::<Known>(text.as_bytes()).is_err());
            assert!(UnknownFields::of(&parse(&text), &["number"]).is_err());
        }
    }
}
