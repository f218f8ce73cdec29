//! Turns a JSON document and a path into the call of an actor, as the manifest describes it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use bytes::Bytes;

use super::answer::HttpError;
use daca_base::ErrorCode;
use daca_base::json::{self, Document};
use daca_manifest::{ActorIdSource, Call, Payload};
use daca_model::backend::ActorCall;
use daca_model::{ActorAddress, CallError, CallIdentity, check_agent_type};

/// The header with which a caller may repeat a call (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The maximum length of a `traceparent` in bytes; version 00 has 55. It is passed on in headers of other requests,
/// whose limits are narrow.
const MAX_TRACEPARENT: usize = 128;

/// Creates the call. The document's own bytes are passed on: numbers and the order of fields are preserved. The
/// document may be missing if the call needs nothing of it, and the parameters of the path where there are none.
pub(super) fn actor_call(
    call: &Call,
    path: Option<&RawPathParams>,
    document: &Result<Document, json::Error>,
) -> Result<ActorCall, HttpError> {
    let document = || document.as_ref().map_err(unusable);
    let id: Cow<'_, str> = match &call.actor_id {
        ActorIdSource::Path(parameter) => {
            let found = path.and_then(|path| path.iter().find(|(name, _)| name == parameter));
            found.map_or(Cow::default(), |(_, value)| value.into())
        }
        ActorIdSource::Field { name, default } => {
            let field = object(document()?)?.present_field(name);
            id_in_field(name, field.as_ref(), default.as_deref())?.into()
        }
    };
    let actor =
        ActorAddress::of_type(&call.agent_type, &id).map_err(|reason| CallError::invalid_id(&id, reason))?;
    let payload = match &call.payload {
        Payload::Body => document()?.bytes().clone(),
        Payload::Nothing => Bytes::new(),
        Payload::Field(name) => match object(document()?)?.field(name) {
            Some(field) => field.bytes().clone(),
            None => {
                return Err(HttpError::new(
                    ErrorCode::FieldMissing,
                    format!("The field {name:?} is missing."),
                ));
            }
        },
    };
    Ok(ActorCall { actor, method: call.method.clone(), payload })
}

fn object(document: &Document) -> Result<&Document, HttpError> {
    if document.is_object() {
        return Ok(document);
    }
    Err(HttpError::new(ErrorCode::BodyNotObject, "The body is JSON, but not an object."))
}

/// The error for a body that is not acceptable JSON, or not of the expected form.
pub(super) fn unusable(error: &json::Error) -> HttpError {
    let (code, what) = match error {
        json::Error::TooDeep => (ErrorCode::BodyTooDeep, "The body is refused"),
        json::Error::NotObject => (ErrorCode::BodyNotObject, "The body is refused"),
        json::Error::Form(_) => (ErrorCode::BodyFieldInvalid, "The body is refused"),
        json::Error::Encoding(_) | json::Error::Syntax(_) => (ErrorCode::BodyNotJson, "The body is not JSON"),
    };
    HttpError::new(code, format!("{what}: {error}."))
}

fn id_in_field(name: &str, field: Option<&Document>, default: Option<&str>) -> Result<String, HttpError> {
    match (field, default) {
        (Some(field), _) => field.text().ok_or_else(|| {
            HttpError::new(
                ErrorCode::ActorIdInvalid,
                format!("The field {name:?}, the actor's id, is not a string."),
            )
        }),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(HttpError::new(
            ErrorCode::FieldMissing,
            format!("The field {name:?}, the actor's id, is missing."),
        )),
    }
}

/// The caller's key of a call, if it has one.
pub(super) fn caller_key(headers: &HeaderMap) -> Result<Option<CallIdentity>, HttpError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|_| values.next().is_none()).map(str::trim).unwrap_or_default();
    CallIdentity::of_key(key).map(Some).map_err(|error| {
        let detail = format!("The header Idempotency-Key names one call by one key: {error}.");
        HttpError::new(ErrorCode::IdempotencyKeyInvalid, detail)
    })
}

/// The trace that a call belongs to.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get("traceparent")?.to_str().ok().filter(|text| text.len() <= MAX_TRACEPARENT).map(Arc::from)
}

/// Checks the names in a path.
pub(super) fn address(agent_type: &str, actor_id: &str) -> Result<ActorAddress, CallError> {
    if check_agent_type(agent_type).is_err() {
        return Err(CallError::UnknownAgentType(agent_type.to_owned()));
    }
    ActorAddress::new(agent_type, actor_id).map_err(|reason| CallError::invalid_id(actor_id, reason))
}
