//! The identity of an event, and its dead letter if it can never be handled.
//!
//! The host, not the sidecar, publishes a subscription's dead letters, and tells the sidecar of no `deadLetterTopic`.
//! The sidecar would also send there what was answered RETRY, unless a policy for inbound retries prevents it
//! (`pkg/runtime/subscription`). It knows no reason, and can only use the component that the event came from.

use axum::http::HeaderMap;
use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;

use super::dead_letters::{self, TopicDeadLetter, Tries};
use daca_base::ErrorCode;
use daca_base::digest;
use daca_base::json::{self, Document, MAX_DEPTH};
use daca_base::telemetry::printable;
use daca_manifest::Subscription;
use daca_model::CallIdentity;
use daca_model::backend::EventOutcome;
use daca_runtime::actor::Actors;

/// The maximum depth of an event that is embedded in its dead letter. The letter is one level deeper, and its own envelope
/// another one: a deeper event could not be published, or its letter not be received.
const MAX_EMBEDDED_DEPTH: usize = MAX_DEPTH - 2;

/// The identity of a repeated event: its source and its id, which together are unique among all events (CloudEvents
/// 1.0, `id`), and the subscription, since each of them handles it. `None` for an event without both.
///
/// It is a hash, because it is sent in a header.
pub(super) fn identity(path: &str, event: &Document) -> Option<CallIdentity> {
    hash_of(path, event).map(|hash| CallIdentity::of_event(&hash))
}

fn hash_of(path: &str, event: &Document) -> Option<String> {
    let text = |name: &str| event.field(name)?.text().filter(|text| !text.is_empty());
    let (source, id) = (text("source")?, text("id")?);
    Some(digest::of_parts([path.as_bytes(), source.as_bytes(), id.as_bytes()]))
}

/// Why the names of an event are not those of a CloudEvent, which are strings with at least one character. `null` counts
/// as absent, and an event without names cannot be recognised. With other names it would be handled with each delivery,
/// and nobody would know. `names` are its source and its id.
pub(super) fn check_names(names: [Option<Document>; 2]) -> Result<(), String> {
    for (name, value) in ["source", "id"].into_iter().zip(names) {
        let value = value.filter(|value| !value.is_null());
        if value.is_some_and(|value| value.text().is_none_or(|text| text.is_empty())) {
            return Err(format!("its {name} is not a string with at least one character"));
        }
    }
    Ok(())
}

/// Publishes the dead letter of an event that can never be handled, if its subscription has a dead-letter topic.
pub(super) async fn dead_letter(
    actors: &Actors,
    tries: &Tries,
    subscription: &Subscription,
    event: DeadEvent<'_>,
    reason: &str,
) -> EventOutcome {
    let Some(topic) = &subscription.dead_letter else { return EventOutcome::Drop(reason.to_owned()) };
    let path = &*subscription.path;
    let letter = written(subscription, event, reason);
    match tries.publish(letter, |letter| actors.publish(topic, letter)).await {
        Ok(()) => {
            tracing::warn!(
                path,
                code = ErrorCode::EventSetAside.as_str(),
                "an event is dead-lettered to {}/{}: {}",
                topic.pubsub,
                topic.topic,
                printable(reason)
            );
            EventOutcome::Success
        }
        Err(error) => {
            let reason =
                format!("the event cannot be handled ({reason}), and could not be dead-lettered: {error}");
            tracing::warn!(path, code = ErrorCode::EventSetAsideFailed.as_str(), "{}", printable(&reason));
            EventOutcome::Retry(reason)
        }
    }
}

/// An event in a dead letter.
#[derive(Clone, Copy)]
pub(super) enum DeadEvent<'e> {
    /// In its envelope.
    Event(&'e Document),
    /// Not JSON.
    Bytes(&'e Bytes),
    /// Longer than the host reads. These are its headers.
    Unread(&'e HeaderMap),
}

/// The dead letter of an event. The short form has the reason and, if it can be read, the event's identity.
fn written(subscription: &Subscription, event: DeadEvent<'_>, reason: &str) -> TopicDeadLetter {
    let Subscription { pubsub, topic, path, attempts, .. } = subscription;
    let reason = dead_letters::shortened(reason.to_owned());
    let mut letter = json!({ "pubsub": pubsub, "topic": topic, "path": path, "reason": reason });
    let (name, bytes, content) = match event {
        DeadEvent::Event(event) => {
            for field in ["source", "id"] {
                if let Some(text) = event.field(field).and_then(|value| value.text()) {
                    letter[field] = dead_letters::shortened(text).into();
                }
            }
            let content = match event.is_deeper_than(MAX_EMBEDDED_DEPTH) {
                true => encoded(event.bytes()),
                false => ("event", event.clone()),
            };
            (hash_of(path, event), &event.bytes()[..], Some(content))
        }
        DeadEvent::Bytes(bytes) => (None, &bytes[..], Some(encoded(bytes))),
        DeadEvent::Unread(headers) => {
            dead_letters::add_headers(&mut letter, headers);
            (None, &[][..], None)
        }
    };
    let letter = letter.to_string();
    let (whole, short) = match content {
        Some((field, content)) => (json::with_field(&letter, field, &content), Some(letter.into())),
        None => (letter.into(), None),
    };
    let name = name.unwrap_or_else(|| digest::of_parts([path.as_bytes(), bytes]));
    TopicDeadLetter { name, attempts: *attempts, whole, short }
}

/// The field of a dead letter that has bytes as they are.
fn encoded(bytes: &Bytes) -> (&'static str, Document) {
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    ("data_base64", Document::of_text(&encoded))
}

#[cfg(test)]
mod tests {
    use daca_model::cloud_event;
    use serde_json::Value;

    use super::*;

    fn id(path: &str, event: Value) -> Option<String> {
        let event = Document::parse(&event.to_string().into()).expect("it is JSON");
        match identity(path, &event)? {
            CallIdentity::Message(id) if CallIdentity::is_event(&id) => Some(id.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_is_known_by_source_and_id_for_each_subscription() {
        let event = |source: &str, id: &str| json!({"source": source, "id": id, "data": {}});
        let known = id("/a", event("s", "1"));
        assert_eq!(known, id("/a", json!({"id": "1", "source": "s", "data": {"other": 1}})));
        let long = id("/a", event(&"s".repeat(5_000), "\u{1f4a9}\r\n")).expect("it has one");
        assert!(
            long.len() < 100 && long.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'),
            "{long}"
        );
        for (path, other) in [
            ("/b", event("s", "1")),
            ("/a", event("t", "1")),
            ("/a", event("s", "2")),
            ("/a", event("s1", "")),
            ("/a", event("", "s1")),
            ("/a", json!({"source": "s", "id": 1})),
            ("/a", json!({"id": "1"})),
            ("/a", json!([])),
        ] {
            assert_ne!(id(path, other.clone()), known, "{path} {other}");
        }
        assert_ne!(id("/a", event("s", "11")), id("/a", event("s1", "1")));
    }

    /// As the embedded backend and Dapr publish it, and a subscription to the dead-letter topic receives it.
    #[test]
    fn the_dead_letter_of_an_event_of_any_depth_arrives_with_the_event() {
        let subscription = Subscription {
            pubsub: "p".into(),
            topic: "t".into(),
            path: "/in".into(),
            log: None,
            call: None,
            dead_letter: None,
            attempts: 1,
        };
        for (depth, field) in [(126, "event"), (127, "data_base64"), (128, "data_base64")] {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            let text = format!(r#"{{"source":"s","id":"1","data":{open}{close}}}"#);
            let event = Document::parse(&text.clone().into()).expect("it is JSON");
            let letter = written(&subscription, DeadEvent::Event(&event), "no");
            let published = cloud_event::envelope("1", "daca", "p", "t", &letter.whole);
            let published = published.unwrap_or_else(|error| panic!("{depth}: {error}"));
            let received = cloud_event::data(published.bytes());
            let received = received.unwrap_or_else(|error| panic!("{depth}: {error}"));
            let content = received.field(field).unwrap_or_else(|| panic!("{depth}: no {field}"));
            let content = match content.text() {
                Some(encoded) => base64::engine::general_purpose::STANDARD
                    .decode(encoded.as_bytes())
                    .expect("it is base64"),
                None => content.bytes().to_vec(),
            };
            assert_eq!(String::from_utf8_lossy(&content), text, "{depth}");
            assert_eq!(received.field("id").and_then(|id| id.text()).as_deref(), Some("1"), "{depth}");
            assert_eq!(Some(letter.name), hash_of("/in", &event), "{depth}");
        }
    }
}
