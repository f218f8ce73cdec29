//! The functions that parse bytes from outside, one for each kind: for the targets in `fuzz/`, and as limited tests
//! below.
//!
//! Each must return for every input: without a panic, a stack overflow, or memory that grows beyond the input. Some
//! check more, and panic themselves.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use daca_base::json::{Document, MAX_DEPTH, UnknownFields, is_json, meaning_of, read};
use daca_dapr::shown_reminder;
use daca_manifest::{Manifest, Template};
use daca_model::backend::{firing_data, without_once_mark};
use daca_model::cloud_event;
use daca_routing::{context_of, wire_reply};

/// The JSON parser: accepted documents have a limited depth, their fields and lines are JSON again, and a line means the
/// same. Fields that no type knows are written as they were read.
pub fn json(input: &[u8]) {
    if let Ok(unknown) = read::<UnknownFields>(input) {
        let again = serde_json::to_vec(&unknown).map(|text| read::<UnknownFields>(&text));
        assert!(matches!(again, Ok(Ok(again)) if again == unknown), "fields are kept");
    }
    let Ok(document) = Document::parse(&Bytes::copy_from_slice(input)) else { return };
    assert!(document.depth() <= MAX_DEPTH, "the depth is bounded");
    assert!(is_json(document.bytes()), "what is passed on is JSON");
    assert!(is_json(document.to_string().as_bytes()), "a line is JSON");
    let line = Document::parse(&document.to_string().into());
    assert_eq!(line.as_ref().map(meaning_of), Ok(meaning_of(&document)), "a line means the same");
    for name in ["", "a", "data", "$serde_json::private::RawValue", "$serde_json::private::Number"] {
        if let Some(field) = document.field(name) {
            assert!(is_json(field.bytes()), "a field is JSON");
            assert!(field.depth() < document.depth(), "a field is nested less");
        }
    }
}

/// An event that arrives, and one that is published.
pub fn event(input: &[u8]) {
    let event = Bytes::copy_from_slice(input);
    if let Ok(data) = cloud_event::data(&event) {
        assert!(data.is_object(), "subscriptions get objects");
    }
    if cloud_event::check_published(&event, true).is_ok() {
        let enveloped = cloud_event::envelope("1", "A", "p", "t", &event);
        let received = enveloped.map(|enveloped| cloud_event::data(enveloped.bytes()));
        assert!(matches!(received, Ok(Ok(_))), "what may be published can be received");
    }
}

/// A manifest.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Sound or not, it must not panic.
    Manifest::parse(Path::new("agents.toml"), text).ok();
}

/// A file of Dapr's components.
pub fn components(input: &[u8]) {
    const MANIFEST: &str = include_str!("../../../agents.toml");
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(manifest) = Manifest::parse(Path::new("agents.toml"), MANIFEST) {
        let _findings = daca_dapr_lint::run_text(&manifest, MANIFEST, text);
    }
}

/// A log line's template and a document, with a zero between them.
pub fn template(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (template, document) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(template) =
        std::str::from_utf8(template).map_err(drop).and_then(|text| Template::parse(text).map_err(drop))
    else {
        return;
    };
    if let Ok(document) = Document::parse(&Bytes::copy_from_slice(document)) {
        let _line = template.render(&document);
    }
}

/// Messages of another host or a sidecar: an answer, header lines, a firing, a reminder.
pub fn wire(input: &[u8]) {
    const MARK: &str = "daca:m:";
    let _reply = wire_reply(MARK, input.to_vec(), true);
    let _reply = wire_reply(MARK, [MARK.as_bytes(), input].concat(), true);
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let _context = context_of(&headers);
    if let Ok(document) = Document::parse(&Bytes::copy_from_slice(input)) {
        let _once = without_once_mark(&firing_data(document.field("data").as_ref()));
        let _reminder = shown_reminder(&document);
    }
}

/// Values in a store under the host's own keys: marks, replies, the schema of an actor's state, the shared record.
pub fn stored(input: &[u8]) {
    daca_runtime::actor::read_stored(&Bytes::copy_from_slice(input));
    daca_deploy::read_stored(input);
}

#[cfg(test)]
mod tests;
