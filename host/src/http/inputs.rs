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
        let text = |name: &str| headers.get(name)?.to_str().ok();
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
        let is_passing = error.code == "body-unreadable"
            || matches!(error.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        if is_passing || (error.status.is_server_error() && !self.is_last_try(headers, body)) {
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
                self.succeeded(headers);
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

    fn is_last_try(&self, headers: &HeaderMap, body: Option<&Bytes>) -> bool {
        let id = self.message_id(headers).map(|id| id.to_string()).unwrap_or_else(|| {
            use sha2::Digest as _;
            hex::encode(sha2::Sha256::digest(body.map(Bytes::as_ref).unwrap_or_default()))
        });
        let mut tries = self.tries();
        if tries.len() >= MOST_COUNTED {
            tries.clear();
        }
        let count = tries.entry(id).or_default();
        *count += 1;
        *count >= self.binding.attempts
    }

    async fn set_aside(
        &self,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        error: &HttpError,
    ) -> Result<(), backend::Error> {
        let topic = &self.binding.dead_letter;
        let letter = self.letter(headers, body, error);
        let published = match self.actors.publish(topic, letter.to_string().into()).await {
            // Larger than the sidecar takes. The message itself stays in its topic, at the offset that the letter names.
            Err(backend::Error::TooLarge(_)) => {
                let letter = self.letter(headers, None, error);
                self.actors.publish(topic, letter.to_string().into()).await
            }
            published => published,
        };
        published?;
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

    /// What is known of a message. Its key and headers are as the binding gives them: URL-encoded with `escapeHeaders`.
    fn letter(&self, headers: &HeaderMap, body: Option<&Bytes>, error: &HttpError) -> Value {
        let text = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let of_message = headers.iter().filter(|(name, _)| !NOT_OF_THE_MESSAGE.contains(&name.as_str()));
        let of_message = of_message.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned().into())
        });
        let mut letter = json!({
            "binding": self.binding.binding,
            "path": self.binding.path,
            "reason": { "code": error.code, "status": error.status.as_u16(), "detail": error.detail },
            "topic": text("__topic"),
            "partition": number("__partition"),
            "offset": number("__offset"),
            "timestamp": text("__timestamp"),
            "key": text("__key"),
            "headers": of_message.collect::<Map<_, _>>(),
        });
        if let Some(body) = body {
            letter["data_base64"] = base64::engine::general_purpose::STANDARD.encode(body).into();
        }
        letter
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failed_tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
