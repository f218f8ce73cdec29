//! An object of the host's own that is written with each message, without a tree of values in between.

use super::Document;

/// Writes an object, field by field. Names must need no escape, and no value may have more than
/// [`MAX_DEPTH`](super::MAX_DEPTH) levels less one.
#[derive(Debug)]
pub struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    /// An object of about so many bytes.
    pub fn with_capacity(bytes: usize) -> ObjectWriter {
        ObjectWriter(Vec::with_capacity(bytes))
    }

    /// Adds a string.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        // What JSON demands to be escaped. Most texts have nothing of it.
        if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            self.0.extend_from_slice(Document::of_text(text).bytes());
        } else {
            self.quoted(text);
        }
    }

    /// Adds any value.
    pub fn value(&mut self, name: &str, value: &Document) {
        self.name(name);
        self.0.extend_from_slice(value.bytes());
    }

    /// The object. It is JSON, so it is not parsed again.
    pub fn finish(mut self) -> Document {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        Document(self.0.into())
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.quoted(name);
        self.0.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_what_a_parser_reads_and_texts_are_as_serde_writes_them() {
        assert_eq!(ObjectWriter::with_capacity(0).finish().bytes(), "{}");
        let texts = (0..=0x7f_u8).map(char::from).chain(['ä', '\u{2028}', '\u{10ffff}']).map(String::from);
        for text in texts.chain([String::new(), "a\"b\\c\nd".to_owned()]) {
            let mut object = ObjectWriter::with_capacity(0);
            object.text("a", &text);
            object.value("b", &Document::of_text(&text));
            let object = object.finish();
            let value = serde_json::Value::from(text);
            assert_eq!(object.bytes(), &format!("{{\"a\":{value},\"b\":{value}}}"));
            assert_eq!(Document::parse(object.bytes()), Ok(object));
        }
    }
}
