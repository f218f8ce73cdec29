//! An event that a sidecar brings to the path of a subscription, and the answer in its words.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::Subscriptions;
use crate::answer::HttpError;
use crate::body::{BodyOwner, read_body, unreadable_body};
use crate::call;
use crate::encoding;
use crate::event_retries::Retries;
use crate::events::DeadEvent;
use crate::json_answer::Json;
use crate::requests::Requests;
use daca_model::CallContext;
use daca_model::backend::EventOutcome;

/// The subscription of a path, with the state for its events.
pub(super) type EventState = (Subscriptions, Retries, String, Requests);

/// Takes an event.
pub(super) async fn take_event(
    State((subscriptions, retries, path, requests)): State<EventState>,
    request: Request,
) -> Response {
    let agent_type = subscriptions.agent_type(&path);
    let _in_flight = match agent_type.map(|name| requests.begin_of_sidecar(name)).transpose() {
        Ok(in_flight) => in_flight,
        // It is redelivered.
        Err(refused) => return HttpError::from(refused).into_response(),
    };
    let (Parts { headers, extensions, .. }, body) = request.into_parts();
    if let Some(agent_type) = agent_type {
        BodyOwner::set(&extensions, agent_type.clone());
    }
    let body = read_body(body, extensions).await;
    let context = CallContext { traceparent: call::traceparent(&headers), ..CallContext::default() };
    // Of the other statuses only 404 does not have an event redelivered forever, so an unreadable event is not an
    // error.
    let outcome = match (body.map_err(unreadable_body), encoding::check(&headers)) {
        (Ok(body), Ok(())) => retries.deliver(&subscriptions, &path, &body, context).await,
        (Ok(body), Err(error)) => {
            subscriptions.undecodable(&path, DeadEvent::Bytes(&body), &error.detail).await
        }
        (Err(error), _) if error.status == StatusCode::PAYLOAD_TOO_LARGE => {
            let outcome = subscriptions.undecodable(&path, DeadEvent::Unread(&headers), &error.detail).await;
            // The rest of the body stays unread.
            return ([(header::CONNECTION, "close")], event_answer(outcome)).into_response();
        }
        // It may be complete when it is redelivered.
        (Err(error), _) => return error.into_response(),
    };
    event_answer(outcome)
}

fn event_answer(outcome: EventOutcome) -> Response {
    let (status, message) = match outcome {
        EventOutcome::Success => ("SUCCESS", "Event processed".to_owned()),
        EventOutcome::Drop(reason) => ("DROP", reason),
        EventOutcome::Retry(reason) | EventOutcome::Failed(reason) => ("RETRY", reason),
    };
    Json(json!({ "status": status, "message": message })).into_response()
}
