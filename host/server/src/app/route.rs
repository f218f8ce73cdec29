//! A request of a route: its call, and the answer in the route's words.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, RawPathParamsRejection};
use axum::extract::{ConnectInfo, FromRequestParts as _, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use crate::answer::{self, HttpError, ReplyTemplate};
use crate::body::{BodyOwner, read_body, unreadable_body};
use crate::call;
use crate::encoding;
use crate::head::{self, HeadCut};
use crate::inputs::Input;
use crate::rate::{RateLimiter, Standing};
use crate::requests::Requests;
use daca_base::ErrorCode;
use daca_base::json::Document;
use daca_base::telemetry::{MAX_TEXT, printable};
use daca_manifest::Route;
use daca_model::{CallContext, CallIdentity};
use daca_routing::CallRouter;

/// One route, with the state for its requests.
pub(super) struct RouteState {
    pub(super) route: Route,
    pub(super) template: Option<ReplyTemplate>,
    pub(super) router: CallRouter,
    /// The input binding that delivers to this route.
    pub(super) input: Option<Arc<Input>>,
    pub(super) rate: Option<RateLimiter>,
    pub(super) requests: Requests,
}

/// Takes the request as a whole: what it takes apart itself need not be copied.
pub(super) async fn run_route(State(state): State<Arc<RouteState>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let _in_flight = match state.requests.begin(&state.route.call.agent_type, peer) {
        Ok(in_flight) => in_flight,
        Err(refused) => return HttpError::from(refused).into_response(),
    };
    let (mut parts, body) = request.into_parts();
    BodyOwner::set(&parts.extensions, state.route.call.agent_type.clone());
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let Parts { uri, headers, extensions, .. } = parts;
    let cut = extensions.get::<HeadCut>().copied();
    let input = state.input.as_ref().filter(|input| input.sent(&headers));
    // A broker is no caller: its messages would only come again, and hold up those behind them. Without a token anybody
    // may be it.
    let rate = state.rate.as_ref().filter(|_| !input.is_some_and(|input| input.has_token()));
    let mut standing = rate.and_then(|rate| rate.count_early(peer, &headers));
    if let (Some(rate), Some(refused)) = (rate, standing.filter(|standing| !standing.is_accepted)) {
        let refusal = refuse(&state.route, rate.refusal(refused)).into_response();
        return described(refusal, Some(rate), standing);
    }
    let body = read_body(body, extensions).await;
    let identity = match input {
        Some(input) => Ok(input.message_id(&headers).map(CallIdentity::Message)),
        None => head::check_size(&uri, &headers, cut).and_then(|()| identity(&state.route, &headers)),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return error.into_response(),
    };
    let context =
        CallContext { traceparent: call::traceparent(&headers), identity, ..CallContext::default() };
    let bytes = input.and_then(|_| body.as_ref().ok().cloned());
    let tried = match cut {
        // The message may have contained anything there. A truncated body is complete when it is redelivered.
        Some(cut) if body.is_ok() => Err(cut.refusal()),
        _ => try_route(&state, path, &headers, body, (context, rate, &mut standing)).await,
    };
    let response = match (tried, input) {
        (Ok(response), Some(input)) => {
            input.succeeded(&headers);
            response
        }
        (Ok(response), None) => response,
        (Err(error), Some(input)) => input.failed(&headers, bytes.as_ref(), error).await,
        (Err(error), None) => refuse(&state.route, error).into_response(),
    };
    described(response, rate, standing)
}

/// Adds where the caller stands, if the route has a rate.
fn described(mut response: Response, rate: Option<&RateLimiter>, standing: Option<Standing>) -> Response {
    if let (Some(rate), Some(standing)) = (rate, standing) {
        rate.describe(standing, response.headers_mut());
    }
    response
}

/// The caller's key of the call. A GET changes nothing that could be done twice.
fn identity(route: &Route, headers: &HeaderMap) -> Result<Option<CallIdentity>, HttpError> {
    if route.method == Method::GET { Ok(None) } else { call::caller_key(headers) }
}

async fn try_route(
    state: &RouteState,
    path: Result<RawPathParams, RawPathParamsRejection>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    (context, rate, standing): (CallContext, Option<&RateLimiter>, &mut Option<Standing>),
) -> Result<Response, HttpError> {
    let path = path.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    let body = body.map_err(unreadable_body)?;
    if !body.is_empty() {
        encoding::check(headers)?;
    }
    let document = Document::parse(&body);
    if let Some(log) = &state.route.log {
        let line = match &document {
            Ok(document) => log.render(document),
            Err(_) => {
                let beginning = body.get(..MAX_TEXT).unwrap_or(&body);
                log.render(&Document::of_text(&String::from_utf8_lossy(beginning)))
            }
        };
        tracing::info!(path = state.route.path, "{}", printable(&line));
    }
    let call = call::actor_call(&state.route.call, Some(&path), &document)?;
    if let Some(rate) = rate
        && let Some(counted) = rate.count_actor(&call.actor)
    {
        *standing = Some(counted);
        if !counted.is_accepted {
            return Err(rate.refusal(counted));
        }
    }
    let reply = state.router.call(call, context).await?;
    answer::reply(reply, state.template.as_ref())
}

/// Answers with the route's own text if the manifest has one; the reason goes to the log. Stacks are there, too.
fn refuse(route: &Route, error: HttpError) -> HttpError {
    let is_malformed = error.code == ErrorCode::BodyNotJson;
    let words = if is_malformed { &route.malformed } else { &route.invalid };
    match words {
        Some(words) if error.status == StatusCode::BAD_REQUEST => {
            tracing::info!(
                path = route.path,
                code = error.code.as_str(),
                "refused: {}",
                printable(&error.detail)
            );
            HttpError { code: ErrorCode::Invalid.into(), detail: words.clone(), ..error }
        }
        _ => error.without_stack(),
    }
}
