//! Messages of input bindings: none is lost, and none blocks the others.
//!
//! A message whose handling fails because something is unavailable is answered with an error, and the binding
//! redelivers it. A message that can never be handled is published to the manifest's dead-letter topic, with all that
//! is known of it, and acknowledged: any other answer would lose it or block its partition forever. A user's request to
//! the same route is answered as on any other.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};

use super::AppToken;
use super::answer::HttpError;
use super::dead_letters::{self, TopicDeadLetter, Tries};
use super::json_answer::Json;
use daca_base::ErrorCode;
use daca_base::error_code::AnyCode;
use daca_base::telemetry::printable;
use daca_manifest::InputBinding;
use daca_model::backend;
use daca_runtime::actor::Actors;

/// The maximum length in bytes of each part of a message's position. Kafka's topic names have at most 249.
const MAX_PLACE: usize = 256;

/// The binding of a route.
pub(super) struct Input {
    binding: InputBinding,
    token: Option<AppToken>,
    actors: Actors,
    tries: Tries,
}

impl Input {
    pub(super) fn new(binding: InputBinding, token: Option<AppToken>, actors: Actors) -> Arc<Input> {
        Arc::new(Input { binding, token, actors, tries: Tries::default() })
    }

    /// Returns `true` if the binding sent this request, rather than a user. The headers have the message's position in
    /// Kafka (`__topic` and so on, as Dapr's binding names them). If the sidecar has a token, the request must carry
    /// it, too.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let has_place = headers.contains_key("__topic") && headers.contains_key("__offset");
        match &self.token {
            // Requests by service invocation from another application have the sidecar's token, too.
            Some(token) => token.is_in(headers) && (has_place || !headers.contains_key("dapr-caller-app-id")),
            None => has_place,
        }
    }

    /// Returns `true` if what [`Input::sent`] says is certain: anybody can send the headers.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// A unique id of a Kafka message. Messages of another binding may be from another Kafka, and the time
    /// distinguishes topics that were recreated.
    pub(super) fn message_id(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| text.len() <= MAX_PLACE);
        let (topic, partition, offset) = (text("__topic")?, text("__partition")?, text("__offset")?);
        let time = text("__timestamp").unwrap_or_default();
        Some(format!("{}/{topic}/{partition}/{offset}/{time}", self.binding.binding).into())
    }

    /// Forgets the failed attempts of a message that was handled.
    pub(super) fn succeeded(&self, headers: &HeaderMap) {
        if let (false, Some(id)) = (self.tries.is_empty(), self.message_id(headers)) {
            self.tries.forget(&id);
        }
    }

    /// Handles the failure of a message.
    pub(super) async fn failed(
        &self,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        error: HttpError,
    ) -> Response {
        // A truncated body is complete when it is redelivered.
        let is_retryable =
            matches!(error.code, AnyCode::Known(ErrorCode::BodyUnreadable | ErrorCode::BodyTooSlow))
                || matches!(error.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        if is_retryable || (error.status.is_server_error() && !self.has_failed(headers, body)) {
            tracing::warn!(
                binding = self.binding.binding,
                code = error.code.as_str(),
                "a message is to be redelivered: {}",
                printable(&error.detail)
            );
            return error.into_response();
        }
        match self.dead_letter(headers, body, &error).await {
            Ok(()) => {
                self.tries.forget(&self.name_of(headers, body));
                let reason =
                    json!({ "status": "Message dead-lettered", "code": error.code, "detail": error.detail });
                Json(reason).into_response()
            }
            Err(reason) => {
                let detail = format!(
                    "The message cannot be handled ({}), and could not be dead-lettered: {reason}.",
                    error.detail
                );
                let refused = HttpError::new(ErrorCode::SetAsideFailed, detail);
                tracing::warn!(
                    binding = self.binding.binding,
                    code = refused.code.as_str(),
                    "{}",
                    printable(&refused.detail)
                );
                refused.into_response()
            }
        }
    }

    async fn dead_letter(
        &self,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        error: &HttpError,
    ) -> Result<(), backend::Error> {
        let topic = &self.binding.dead_letter;
        let written = |body| Bytes::from(letter(&self.binding, headers, body, error).to_string());
        let letter = TopicDeadLetter {
            name: format!("{} letter", self.name_of(headers, body)),
            attempts: self.binding.attempts,
            whole: written(body),
            // The message itself stays in its topic, at the offset that the dead letter names.
            short: body.is_some().then(|| written(None)),
        };
        self.tries.publish(letter, |letter| self.actors.publish(topic, letter)).await?;
        let place = self.message_id(headers).unwrap_or_default();
        tracing::warn!(
            binding = self.binding.binding,
            code = ErrorCode::MessageSetAside.as_str(),
            "message {} is dead-lettered to {}/{}: {}",
            printable(&place),
            topic.pubsub,
            topic.topic,
            printable(&error.detail)
        );
        Ok(())
    }

    /// Names a message, even one without a position in Kafka.
    fn name_of(&self, headers: &HeaderMap, body: Option<&Bytes>) -> String {
        self.message_id(headers).map(|id| id.to_string()).unwrap_or_else(|| {
            use sha2::Digest as _;
            hex::encode(sha2::Sha256::digest(body.map(Bytes::as_ref).unwrap_or_default()))
        })
    }

    /// Counts a failed attempt. Returns `true` if there were as many as the manifest allows.
    fn has_failed(&self, headers: &HeaderMap, body: Option<&Bytes>) -> bool {
        self.tries.has_failed(&self.name_of(headers, body), self.binding.attempts)
    }
}

/// The dead letter of a message. Its key and headers are as the binding gives them: URL-encoded with `escapeHeaders`.
/// Headers beyond the maximum size are omitted, and counted: whatever a message contains, its dead letter can be
/// published.
fn letter(binding: &InputBinding, headers: &HeaderMap, body: Option<&Bytes>, error: &HttpError) -> Value {
    let text = |name: &str| {
        let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
        Some(dead_letters::shortened(value))
    };
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let detail = dead_letters::shortened(error.detail.clone());
    let mut letter = json!({
        "binding": binding.binding,
        "path": binding.path,
        "reason": { "code": error.code, "status": error.status.as_u16(), "detail": detail },
        "topic": text("__topic"),
        "partition": number("__partition"),
        "offset": number("__offset"),
        "timestamp": text("__timestamp"),
        "key": text("__key"),
    });
    dead_letters::add_headers(&mut letter, headers);
    if let Some(body) = body {
        letter["data_base64"] = base64::engine::general_purpose::STANDARD.encode(body).into();
    }
    letter
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn binding() -> InputBinding {
        let topic = daca_model::Topic { pubsub: "pubsub".into(), topic: "dead".into() };
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
        let error = HttpError::new(ErrorCode::BodyNotJson, "x".repeat(1_000_000));
        let letter = letter(&binding(), &headers, None, &error);
        let kept = letter["headers"].as_object().expect("headers").len();
        assert_eq!(letter["headers_left_out"].as_u64(), Some(20_003 - kept as u64));
        assert_eq!((&letter["topic"], &letter["offset"]), (&json!("messages"), &json!(7)));
        assert!(letter.to_string().len() < 128 * 1024, "{}", letter.to_string().len());
    }
}
