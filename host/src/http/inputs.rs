//! Messages of input bindings: a route that a binding delivers to loses none, and is held up by none.
//!
//! What fails because something is away is answered with an error, and the binding delivers it again. What can never be
//! handled is set aside on the manifest's dead-letter topic, with all that is known of it, and acknowledged: any other answer
//! would either lose it or stop its partition for ever. What a person posts to the same route is answered as on any other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::AppToken;
use super::answer::HttpError;
use crate::actor::Actors;
use crate::backend;
use crate::manifest::InputBinding;
use crate::telemetry::printable;

/// Messages whose failed tries are counted at the same time. Beyond it the counts begin anew.
const MOST_COUNTED: usize = 10_000;
/// Bytes of each part of a message's place. Kafka's names of topics have at most 249.
const LONGEST_PLACE: usize = 256;
/// Bytes of the message's headers in a letter, and of each text: far less than any broker takes.
const LETTER_HEADERS: usize = 64 * 1024;
const LETTER_TEXT: usize = 4 * 1024;
/// Headers that belong to the transport or to the sidecar, and not to the message.
const NOT_OF_THE_MESSAGE: [&str; 8] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "dapr-api-token",
    "host",
    "transfer-encoding",
    "user-agent",
];

/// The binding of a route.
pub(super) struct Input {
    binding: InputBinding,
    token: Option<AppToken>,
    actors: Actors,
    failed_tries: Mutex<HashMap<String, u32>>,
}

impl Input {
    pub(super) fn new(binding: InputBinding, token: Option<AppToken>, actors: Actors) -> Arc<Input> {
        Arc::new(Input { binding, token, actors, failed_tries: Mutex::default() })
    }

    /// Did the binding send this, rather than a person? Kafka's place of the message is in the headers (`__topic` and so on,
    /// as Dapr's binding names them); where the sidecar has a token, the request must carry it, too.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let has_place = headers.contains_key("__topic") && headers.contains_key("__offset");
        match &self.token {
            // What another application calls by service invocation has the sidecar's token, too.
            Some(token) => token.is_in(headers) && (has_place || !headers.contains_key("dapr-caller-app-id")),
            None => has_place,
        }
    }

    /// Names a message of Kafka among all messages: those of another binding may be of another Kafka, and the time tells topics
    /// apart that were made anew.
    pub(super) fn message_id(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| text.len() <= LONGEST_PLACE);
        let (topic, partition, offset) = (text("__topic")?, text("__partition")?, text("__offset")?);
        let time = text("__timestamp").unwrap_or_default();
        Some(format!("{}/{topic}/{partition}/{offset}/{time}", self.binding.binding).into())
    }

    /// Forgets the failed tries of a message that was handled.
    pub(super) fn succeeded(&self, headers: &HeaderMap) {
        let mut tries = self.tries();
        if let (false, Some(id)) = (tries.is_empty(), self.message_id(headers)) {
            tries.remove(&*id);
        }
    }

    /// Decides what becomes of a message whose handling failed.
    pub(super) async fn failed(
        &self,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        error: HttpError,
    ) -> Response {
        // A body that broke off is whole when it comes again.
        let is_passing = matches!(&*error.code, "body-unreadable" | "body-too-slow")
            || matches!(error.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        if is_passing || (error.status.is_server_error() && !self.has_failed(self.name_of(headers, body))) {
            tracing::warn!(
                binding = self.binding.binding,
                code = &*error.code,
                "a message is to be delivered again: {}",
                printable(&error.detail)
            );
            return error.into_response();
        }
        match self.set_aside(headers, body, &error).await {
            Ok(()) => {
                self.tries().remove(&self.name_of(headers, body));
                let reason =
                    json!({ "status": "Message set aside", "code": error.code, "detail": error.detail });
                Json(reason).into_response()
            }
            Err(reason) => {
                let detail = format!(
                    "The message cannot be handled ({}), and could not be set aside: {reason}.",
                    error.detail
                );
                let refused = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "set-aside-failed", detail);
                tracing::warn!(
                    binding = self.binding.binding,
                    code = &*refused.code,
                    "{}",
                    printable(&refused.detail)
                );
                refused.into_response()
            }
        }
    }

    async fn set_aside(
        &self,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        error: &HttpError,
    ) -> Result<(), backend::Error> {
        let topic = &self.binding.dead_letter;
        let whole = letter(&self.binding, headers, body, error).to_string();
        let published = match self.actors.publish(topic, whole.into()).await {
            Err(reason) if body.is_some() && self.is_too_large(headers, body, &reason) => {
                let short = letter(&self.binding, headers, None, error).to_string();
                self.actors.publish(topic, short.into()).await
            }
            published => published,
        };
        published?;
        self.tries().remove(&self.letter_of(headers, body));
        let place = self.message_id(headers).unwrap_or_default();
        tracing::warn!(
            binding = self.binding.binding,
            code = "message-set-aside",
            "message {} is set aside on {}/{}: {}",
            printable(&place),
            topic.pubsub,
            topic.topic,
            printable(&error.detail)
        );
        Ok(())
    }

    /// Is the letter larger than the sidecar takes, or, as far as one can tell, its broker? The sidecar says of both that it is
    /// away when its broker refuses, so what was tried often enough counts as too large. The message itself stays in its topic,
    /// at the offset that the letter names.
    fn is_too_large(&self, headers: &HeaderMap, body: Option<&Bytes>, reason: &backend::Error) -> bool {
        matches!(reason, backend::Error::TooLarge(_)) || self.has_failed(self.letter_of(headers, body))
    }

    /// Names the letter of a message among those whose tries are counted.
    fn letter_of(&self, headers: &HeaderMap, body: Option<&Bytes>) -> String {
        format!("{} letter", self.name_of(headers, body))
    }

    /// Names a message, also where no place in Kafka does.
    fn name_of(&self, headers: &HeaderMap, body: Option<&Bytes>) -> String {
        self.message_id(headers).map(|id| id.to_string()).unwrap_or_else(|| {
            use sha2::Digest as _;
            hex::encode(sha2::Sha256::digest(body.map(Bytes::as_ref).unwrap_or_default()))
        })
    }

    /// Counts a failed try. True when there were as many as the manifest allows.
    fn has_failed(&self, name: String) -> bool {
        let mut tries = self.tries();
        if tries.len() >= MOST_COUNTED {
            tries.clear();
        }
        let count = tries.entry(name).or_default();
        *count += 1;
        *count >= self.binding.attempts
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failed_tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a message. Its key and headers are as the binding gives them: URL-encoded with `escapeHeaders`. What is
/// longer than a letter may be is left out, and counted: whatever a message is, its letter can be published.
fn letter(binding: &InputBinding, headers: &HeaderMap, body: Option<&Bytes>, error: &HttpError) -> Value {
    let text = |name: &str| {
        let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
        Some(shortened(value))
    };
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let mut left = LETTER_HEADERS;
    let mut left_out = 0_usize;
    let mut of_message = Map::new();
    for (name, value) in headers {
        if NOT_OF_THE_MESSAGE.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        match left.checked_sub(name.as_str().len() + value.len()) {
            Some(rest) => {
                left = rest;
                of_message.insert(name.as_str().to_owned(), value.into());
            }
            None => left_out += 1,
        }
    }
    let detail = shortened(error.detail.clone());
    let mut letter = json!({
        "binding": binding.binding,
        "path": binding.path,
        "reason": { "code": error.code, "status": error.status.as_u16(), "detail": detail },
        "topic": text("__topic"),
        "partition": number("__partition"),
        "offset": number("__offset"),
        "timestamp": text("__timestamp"),
        "key": text("__key"),
        "headers": of_message,
    });
    if left_out > 0 {
        letter["headers_left_out"] = left_out.into();
    }
    if let Some(body) = body {
        letter["data_base64"] = base64::engine::general_purpose::STANDARD.encode(body).into();
    }
    letter
}

fn shortened(mut text: String) -> String {
    if text.len() > LETTER_TEXT {
        text.truncate(text.floor_char_boundary(LETTER_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn binding() -> InputBinding {
        let topic = crate::manifest::Topic { pubsub: "pubsub".into(), topic: "dead".into() };
        InputBinding { binding: "kafka".into(), path: "/in".into(), attempts: 3, dead_letter: topic }
    }

    #[test]
    fn the_letter_of_any_message_is_small_enough_to_be_published() {
        let mut headers = HeaderMap::new();
        headers.insert("__topic", HeaderValue::from_static("messages"));
        headers.insert("__offset", HeaderValue::from_static("7"));
        headers.insert("__key", HeaderValue::from_bytes("ü".repeat(500_000).as_bytes()).expect("a value"));
        for number in 0..20_000 {
            let name = HeaderName::try_from(format!("header-{number}")).expect("a name");
            headers.insert(name, HeaderValue::from_bytes(&[0xff; 100]).expect("a value"));
        }
        let error = HttpError::bad_request("body-not-json", "x".repeat(1_000_000));
        let letter = letter(&binding(), &headers, None, &error);
        let kept = letter["headers"].as_object().expect("headers").len();
        assert_eq!(letter["headers_left_out"].as_u64(), Some(20_003 - kept as u64));
        assert_eq!((&letter["topic"], &letter["offset"]), (&json!("messages"), &json!(7)));
        assert!(letter.to_string().len() < 128 * 1024, "{}", letter.to_string().len());
    }
}
