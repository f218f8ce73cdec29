//! From a JSON document and a path to the call of an actor, as the manifest describes it.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::answer::HttpError;
use crate::actor::{ActorAddress, CallError};
use crate::backend::ActorCall;
use crate::manifest::{ActorIdSource, Call, Payload};

/// Parameters of a path, percent-decoded.
pub(super) type PathParameters = HashMap<String, String>;

/// Makes the call. The document's own bytes are passed on: numbers and the order of fields stay as they came.
pub(super) fn actor_call(
    call: &Call,
    path: &PathParameters,
    document: &Bytes,
) -> Result<ActorCall, HttpError> {
    let needs_fields =
        matches!(call.actor_id, ActorIdSource::Field { .. }) || matches!(call.payload, Payload::Field(_));
    let fields = if needs_fields {
        parse_fields(document)?
    } else {
        if call.payload == Payload::Body {
            serde_json::from_slice::<serde::de::IgnoredAny>(document).map_err(not_json)?;
        }
        HashMap::new()
    };
    let id = actor_id(&call.actor_id, path, &fields)?;
    let actor =
        ActorAddress::new(&call.agent_type, &id).map_err(|reason| CallError::invalid_id(&id, reason))?;
    let payload = match &call.payload {
        Payload::Body => document.clone(),
        Payload::Nothing => Bytes::new(),
        Payload::Field(name) => match fields.get(name) {
            Some(field) => document.slice_ref(field.get().as_bytes()),
            None => {
                return Err(HttpError::bad_request(
                    "field-missing",
                    format!("The field {name:?} is missing."),
                ));
            }
        },
    };
    Ok(ActorCall { actor, method: call.method.clone(), payload })
}

fn parse_fields(document: &Bytes) -> Result<HashMap<String, &RawValue>, HttpError> {
    serde_json::from_slice(document).map_err(|error| {
        if error.is_data() {
            return HttpError::bad_request("body-not-object", "The body is JSON, but not an object.");
        }
        not_json(error)
    })
}

fn not_json(error: serde_json::Error) -> HttpError {
    HttpError::bad_request("body-not-json", format!("The body is not JSON: {error}."))
}

fn actor_id(
    source: &ActorIdSource,
    path: &PathParameters,
    fields: &HashMap<String, &RawValue>,
) -> Result<String, HttpError> {
    match source {
        ActorIdSource::Path(parameter) => Ok(path.get(parameter).cloned().unwrap_or_default()),
        ActorIdSource::Field { name, default } => match (fields.get(name), default) {
            (Some(field), _) => serde_json::from_str(field.get()).map_err(|_| {
                HttpError::bad_request(
                    "actor-id-invalid",
                    format!("The field {name:?}, the actor's id, is not a string."),
                )
            }),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(HttpError::bad_request(
                "field-missing",
                format!("The field {name:?}, the actor's id, is missing."),
            )),
        },
    }
}
