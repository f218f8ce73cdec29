//! The fields of a span as JSON, for the log for machines.
//!
//! A span is made for each turn, and most turns log nothing. The format that comes with the log's library makes a tree
//! of values first, which costs a turn more than the span itself.

use std::fmt::{self, Write as _};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// The bytes that the fields of a turn need, with a long id.
const USUAL_BYTES: usize = 256;

/// Writes the fields of a span as one JSON object.
pub(super) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut object = Object::default();
        fields.record(&mut object);
        writer.write_str(object.finish()?)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut object = Object::default();
        if let Some(open) = current.fields.strip_suffix('}') {
            open.as_bytes().clone_into(&mut object.json);
        }
        fields.record(&mut object);
        object.finish()?.clone_into(&mut current.fields);
        Ok(())
    }
}

/// An object to which fields are added.
struct Object {
    /// Without its last bracket.
    json: Vec<u8>,
    /// The text of a field that is formatted.
    text: String,
    /// A field has no JSON form.
    failed: bool,
}

impl Default for Object {
    fn default() -> Object {
        let mut json = Vec::with_capacity(USUAL_BYTES);
        json.push(b'{');
        Object { json, text: String::new(), failed: false }
    }
}

impl Object {
    fn add(&mut self, field: &Field, value: impl Serialize) {
        if self.json.last() != Some(&b'{') {
            self.json.push(b',');
        }
        self.put(field.name());
        self.json.push(b':');
        self.put(value);
    }

    fn put(&mut self, value: impl Serialize) {
        self.failed |= serde_json::to_writer(&mut self.json, &value).is_err();
    }

    fn finish(&mut self) -> Result<&str, fmt::Error> {
        self.json.push(b'}');
        if self.failed { Err(fmt::Error) } else { std::str::from_utf8(&self.json).map_err(|_| fmt::Error) }
    }
}

impl Visit for Object {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        self.failed |= write!(text, "{value:?}").is_err();
        self.add(field, &text);
        self.text = text;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_fields_of_its_span_also_those_that_were_added_later() {
        let id = "a\"\\\n\u{1b}ü";
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::registry().with(super::super::json(move || writer.clone()));
        tracing::subscriber::with_default(log, || {
            let span = tracing::info_span!("turn", kind = %"K", id, number = -1, later = Empty);
            span.in_scope(|| tracing::info!("before"));
            span.record("later", true);
            span.in_scope(|| tracing::info!("after"));
            let span = tracing::info_span!("another", later = Empty);
            span.in_scope(|| tracing::info!("without fields"));
            span.record("later", 1.5);
            span.in_scope(|| tracing::info!("with one"));
        });
        let text = String::from_utf8(lines.0.lock().clone()).expect("text");
        let spans: Vec<Value> = text
            .lines()
            .map(|line| crate::json::read::<Value>(line.as_bytes()).expect("a line is JSON")["span"].clone())
            .collect();
        let before = json!({"name": "turn", "kind": "K", "id": id, "number": -1});
        let after = json!({"name": "turn", "kind": "K", "id": id, "number": -1, "later": true});
        let without = json!({"name": "another"});
        let with = json!({"name": "another", "later": 1.5});
        assert_eq!(spans, [before, after, without, with]);
    }
}
