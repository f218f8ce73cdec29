//! Events in the envelope that Dapr uses: CloudEvents in JSON.
//!
//! A subscription takes an object: as `data`, as text in `data` that contains one, or in `data_base64`. An agent's
//! event for a topic to which the manifest itself subscribes must be an object. Otherwise an event could be sent that
//! every subscription drops.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use daca_base::json::{Document, Error, MAX_DEPTH, ObjectWriter, is_json};

/// The maximum depth of nested lists and objects in a published event: the envelope adds one level.
const MAX_PUBLISHED_DEPTH: usize = MAX_DEPTH - 1;

/// The envelope that Dapr wraps an event in. Subscribers tell events apart by `id` and `source` together. The error is
/// [`Error::TooDeep`]: what [`check_published`] admits is nested less.
pub fn envelope(id: &str, source: &str, pubsub: &str, topic: &str, event: &Bytes) -> Result<Document, Error> {
    let (content_type, field, data) = match Document::parse(event) {
        Ok(data) if data.is_deeper_than(MAX_PUBLISHED_DEPTH) => return Err(Error::TooDeep),
        Ok(data) => ("application/json", "data", data),
        Err(_) => ("application/octet-stream", "data_base64", Document::of_text(&BASE64.encode(event))),
    };
    // Names of fields, and what is constant.
    const AROUND: usize = 192;
    let names = [id, source, pubsub, topic].map(str::len).iter().sum::<usize>();
    let mut object = ObjectWriter::with_capacity(AROUND + names + data.bytes().len());
    object.text("specversion", "1.0");
    object.text("type", "com.dapr.event.sent");
    object.text("source", source);
    object.text("id", id);
    object.text("pubsubname", pubsub);
    object.text("topic", topic);
    object.text("datacontenttype", content_type);
    object.value(field, &data);
    Ok(object.finish())
}

/// The content type of an event or a reply. Dapr puts JSON into the envelope of an event unchanged, and anything else
/// as base64.
pub fn content_type(event: &[u8]) -> &'static str {
    if is_json(event) { "application/json" } else { "application/octet-stream" }
}

/// The data of an event. `null` counts as absent.
pub fn data(event: &Bytes) -> Result<Document, String> {
    data_of(&Document::parse(event).map_err(|error| format!("it is not JSON: {error}"))?)
}

/// The same for a parsed event.
pub fn data_of(event: &Document) -> Result<Document, String> {
    data_in(event, event.field("data"))
}

/// The same for a parsed event whose field `data` was looked up.
pub fn data_in(event: &Document, data: Option<Document>) -> Result<Document, String> {
    if !event.is_object() {
        return Err("it is not a JSON object".into());
    }
    if let Some(data) = data.filter(|data| !data.is_null()) {
        return object(data);
    }
    let encoded = event.present_field("data_base64").ok_or("it has no data")?;
    let encoded = encoded.text().ok_or("its data_base64 is not a string")?;
    let decoded = BASE64.decode(encoded);
    let decoded = decoded.map_err(|error| format!("its data_base64 is not base64: {error}"))?;
    object_of(&decoded.into())
}

/// Checks that an event can be received after it is published. `is_subscribed` means that the manifest itself
/// subscribes to its topic; for other topics, the foreign subscribers decide what they accept.
pub fn check_published(event: &Bytes, is_subscribed: bool) -> Result<(), String> {
    match Document::parse(event) {
        Err(Error::TooDeep) => Err(too_deep()),
        Ok(document) if document.is_deeper_than(MAX_PUBLISHED_DEPTH) => Err(too_deep()),
        Ok(document) if is_subscribed => object(document).map(drop),
        Err(error) if is_subscribed => Err(no_object(&error)),
        _ => Ok(()),
    }
}

fn object(data: Document) -> Result<Document, String> {
    if data.is_object() {
        return Ok(data);
    }
    match data.text() {
        Some(text) => object_of(&text.into()),
        None => Err("its data is neither an object nor a string".into()),
    }
}

fn object_of(text: &Bytes) -> Result<Document, String> {
    let data = Document::parse(text).map_err(|error| no_object(&error))?;
    if data.is_object() { Ok(data) } else { Err("its data is not a JSON object".into()) }
}

fn no_object(error: &Error) -> String {
    format!("its data is not a JSON object: {error}")
}

fn too_deep() -> String {
    format!("its lists and objects are nested more than {MAX_PUBLISHED_DEPTH} levels deep")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(event: &str) -> Result<String, String> {
        data(&Bytes::from(event.to_owned())).map(|data| data.to_string())
    }

    #[test]
    fn an_object_is_found_in_every_form_of_data() {
        for event in [
            r#"{"data": {"a": 1.10}}"#,
            r#"{"data": "{\"a\": 1.10}", "data_base64": 7}"#,
            r#"{"data": null, "data_base64": "eyJhIjogMS4xMH0="}"#,
            "\u{feff}{\"data\": {\"a\": 1.10}}",
        ] {
            assert_eq!(data_of(event).as_deref(), Ok(r#"{"a":1.10}"#), "{event}");
        }
        for (event, words) in [
            ("[]", "not a JSON object"),
            ("{}", "no data"),
            (r#"{"data": null, "data_base64": null}"#, "no data"),
            (r#"{"data": [1]}"#, "neither an object nor a string"),
            (r#"{"data": 5}"#, "neither an object nor a string"),
            (r#"{"data": "[1]"}"#, "not a JSON object"),
            (r#"{"data": "no JSON"}"#, "not a JSON object"),
            (r#"{"data_base64": "!"}"#, "not base64"),
            (r#"{"data_base64": {}}"#, "not a string"),
            (r#"{"data_base64": "H4sIAAAA"}"#, "gzip"),
        ] {
            let reason = data_of(event).expect_err(event);
            assert!(reason.contains(words), "{event}: {reason}");
        }
    }

    /// Subscribers get it as Dapr's, byte for byte, whatever its names contain.
    #[test]
    fn an_envelope_has_the_fields_of_dapr_in_their_order() {
        let made = envelope("t-\u{1}", "A\"", "p\\q", "ä\n", &Bytes::from_static(b" {\"a\": 1.10} "));
        let made = made.expect("it is nested little");
        let expected = [
            r#"{"specversion":"1.0","type":"com.dapr.event.sent","source":"A\"","id":"t-\u0001","#,
            r#""pubsubname":"p\\q","topic":"ä\n","datacontenttype":"application/json","data":{"a": 1.10}}"#,
        ];
        assert_eq!(made.bytes(), &expected.concat());
        let made =
            envelope("1", "A", "p", "t", &Bytes::from_static(b"no JSON")).expect("it is nested little");
        let expected = [
            r#"{"specversion":"1.0","type":"com.dapr.event.sent","source":"A","id":"1","pubsubname":"p","#,
            r#""topic":"t","datacontenttype":"application/octet-stream","data_base64":"bm8gSlNPTg=="}"#,
        ];
        assert_eq!(made.bytes(), &expected.concat());
    }

    /// Whatever may be published arrives as it was.
    #[test]
    fn what_may_be_published_can_be_received() {
        let nested =
            |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1), "{}") + &"}".repeat(depth - 1);
        for (event, may) in [
            (r#"{"$serde_json::private::Number":"1"}"#.to_owned(), true),
            (r#""{\"a\": 1}""#.to_owned(), true),
            (nested(MAX_PUBLISHED_DEPTH), true),
            (nested(MAX_PUBLISHED_DEPTH + 1), false),
            (nested(100_000), false),
            ("[1]".to_owned(), false),
            ("5".to_owned(), false),
            ("\"text\"".to_owned(), false),
            ("null".to_owned(), false),
            ("no JSON".to_owned(), false),
        ] {
            let event = Bytes::from(event);
            assert_eq!(check_published(&event, true).is_ok(), may, "{event:?}");
            let enveloped = envelope("1", "A", "p", "t", &event).map_err(|error| error.to_string());
            let received = enveloped.and_then(|enveloped| data(enveloped.bytes()));
            assert_eq!(received.is_ok(), may, "{event:?}: {received:?}");
            if may && event.starts_with(b"{") {
                assert_eq!(received.expect("it is received").bytes(), &event);
            }
        }
        for elsewhere in ["[1]", "5", "no JSON", "\u{0}"] {
            assert_eq!(check_published(&elsewhere.into(), false), Ok(()), "{elsewhere}");
        }
        assert!(check_published(&nested(200).into(), false).is_err());
    }
}
