//! The data that two hosts exchange through their sidecars beside a call's payload: headers in one direction, and
//! failures in the body in the other.
//!
//! `InvokeActor` over gRPC returns only the data: status and headers are dropped, so a failure would look like a reply.
//! The sidecar also mistakes a truncated answer for a complete one (`pkg/channel/http/http_channel.go` ignores the
//! error of the copy). So the caller sends a mark, new for each call, which no agent sees. An answer begins with it,
//! and states whether it is a failure and how long it is. An actor of another program ignores the mark, and the sidecar
//! reports its failures itself.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use daca_base::ErrorCode;
use daca_base::error_code::{AnyCode, Class};
use daca_model::backend::Error;
use daca_model::{ActorAddress, CallContext, CallError, CallIdentity, RemoteError};

/// The mark.
const MARK: &str = "daca-mark";
/// The called actor, percent-encoded.
const CALLEE: &str = "daca-actor";
/// The callee records the mark in its state, so that no other host handles the call again.
const ONCE: &str = "daca-once";
/// The actors that wait for the reply, percent-encoded and separated by commas.
const WAITING: &str = "daca-waiting";
/// The broker's message that the call handles, if its identity is printable ASCII.
const MESSAGE_ID: &str = "daca-message-id";
/// Any other identity of one, percent-encoded. A header of its own: the release before neither encodes nor decodes the first
/// one, so a `%` in that means itself.
const ENCODED_MESSAGE_ID: &str = "daca-message-id-encoded";
/// The caller's key of the call.
const CALL_KEY: &str = "daca-call-key";
/// Dapr's own header; the sidecar requires this spelling (`pkg/actors/targets/app/lock`).
const REENTRANCY_ID: &str = "Dapr-Reentrancy-Id";
/// The sidecar woke the first of the waiting actors.
const WOKEN: &str = "daca-woken";
/// The W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// The maximum length in bytes of a header that is passed on.
const MAX_LEN: usize = 1024;
/// The separator of addresses, and characters that a header may not contain.
const RESERVED: &AsciiSet = &CONTROLS.add(b'%').add(b',').add(b' ');

/// A unique mark. The answer to the call begins with it.
pub(super) fn new_mark() -> String {
    format!("daca:{}:", daca_model::new_id())
}

/// The headers of a call.
pub(super) fn headers(callee: &ActorAddress, context: &CallContext, mark: &str) -> HashMap<String, String> {
    let mut headers =
        HashMap::from([(MARK.to_owned(), mark.to_owned()), (CALLEE.to_owned(), encoded(callee))]);
    if !context.waiting.is_empty() {
        let waiting = context.waiting.iter().map(encoded);
        headers.insert(WAITING.to_owned(), waiting.collect::<Vec<_>>().join(","));
    }
    if context.is_woken {
        headers.insert(WOKEN.to_owned(), "true".to_owned());
    }
    let (message_id, key) = match &context.identity {
        Some(CallIdentity::Message(place)) if !is_printable(place) => {
            headers.insert(ENCODED_MESSAGE_ID.to_owned(), percent_encoded(place));
            (None, None)
        }
        Some(CallIdentity::Message(place)) => (Some(place), None),
        Some(CallIdentity::Key(key)) => (None, Some(key)),
        // The mark is enough.
        Some(CallIdentity::Attempt(_)) | None => (None, None),
    };
    let rest = [
        (MESSAGE_ID, message_id),
        (CALL_KEY, key),
        (REENTRANCY_ID, context.reentrancy_id.as_ref()),
        (TRACEPARENT, context.traceparent.as_ref()),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            headers.insert(name.to_owned(), value.to_string());
        }
    }
    if let Some(CallIdentity::Attempt(_)) = &context.identity {
        headers.insert(ONCE.to_owned(), "true".to_owned());
    }
    headers
}

fn encoded(address: &ActorAddress) -> String {
    percent_encoded(&address.to_string())
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Returns `true` for printable ASCII, which a header can contain as it is.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Returns `true` for a text that is passed on.
fn is_bounded(text: &str) -> bool {
    (1..=MAX_LEN).contains(&text.len())
}

/// Returns `true` if the caller meant another actor than the one that the call was delivered to.
///
/// Dapr 1.16.0 and 1.16.1 reuse the record of an actor while calls are still delivered through it (`Deactivate` in
/// `pkg/actors/targets/app/app.go`). Callers other than hosts do not say which actor they mean.
pub fn is_misdelivered(headers: &HeaderMap, delivered_to: &ActorAddress) -> bool {
    headers.get(CALLEE).is_some_and(|callee| callee.as_bytes() != encoded(delivered_to).as_bytes())
}

/// The context of a call from the headers of a callback.
pub fn context_of(headers: &HeaderMap) -> CallContext {
    let text =
        |name: &str| -> Option<&str> { headers.get(name)?.to_str().ok().filter(|text| is_bounded(text)) };
    let message_id = message_id(headers).map(CallIdentity::Message);
    let key = text(CALL_KEY).and_then(|key| CallIdentity::of_key(key).ok());
    let mark = text(MARK).map(Arc::<str>::from);
    let attempt = mark.clone().filter(|_| text(ONCE) == Some("true")).map(CallIdentity::Attempt);
    let waiting = headers.get(WAITING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address =
        |text: &str| -> Option<ActorAddress> { percent_decode_str(text).decode_utf8().ok()?.parse().ok() };
    let traceparent = text(TRACEPARENT).map(Arc::<str>::from);
    CallContext {
        delivered_in: traceparent.clone().filter(|_| mark.is_none()),
        traceparent,
        reentrancy_id: text(REENTRANCY_ID).map(Arc::from),
        identity: message_id.or(key).or(attempt),
        mark,
        waiting: waiting.split(',').filter_map(address).collect(),
        of_host: false,
        is_direct: false,
        is_woken: text(WOKEN) == Some("true"),
        is_after_wakeup: false,
    }
}

/// The identity of the broker's message that a call handles.
fn message_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let place = match headers.get(ENCODED_MESSAGE_ID) {
        Some(place) => percent_decode_str(place.to_str().ok()?).decode_utf8().ok()?,
        // The release before sends any identity in this one.
        None => std::str::from_utf8(headers.get(MESSAGE_ID)?.as_bytes()).ok()?.into(),
    };
    is_bounded(&place).then(|| Arc::from(&*place))
}

/// The mark of a caller that is a daca host.
pub fn answer_mark(headers: &HeaderMap) -> Option<&str> {
    headers.get(MARK)?.to_str().ok().filter(|mark| mark.len() <= MAX_LEN)
}

#[derive(Deserialize)]
struct FailureBody {
    code: String,
    status: u16,
    detail: String,
}

/// The body with a reply for a caller that has sent a mark.
pub fn reply_body(mark: &str, reply: &Bytes) -> Bytes {
    marked(mark, "ok", reply)
}

/// The body with a failure for such a caller. `status` is the one that a caller without a mark would get.
pub fn failure_body(mark: &str, error: &CallError, status: StatusCode) -> Bytes {
    let failure =
        json!({ "code": error.code().as_str(), "status": status.as_u16(), "detail": error.to_string() });
    marked(mark, "failure", failure.to_string().as_bytes())
}

fn marked(mark: &str, outcome: &str, content: &[u8]) -> Bytes {
    let mut body = format!("{mark}{outcome}:{}:", content.len()).into_bytes();
    body.extend_from_slice(content);
    body.into()
}

/// The reply, or the failure in its place. The actors of another program do not know the mark.
pub fn reply(mark: &str, data: Vec<u8>, is_of_a_host: bool) -> Result<Bytes, CallError> {
    let data = Bytes::from(data);
    match unmarked(mark, &data) {
        Some(("ok", content)) => Ok(content),
        Some((_, content)) => Err(failure(&content)),
        None if is_of_a_host => Err(truncated()),
        None => Ok(data),
    }
}

/// The outcome and the content of a complete marked answer.
fn unmarked<'a>(mark: &str, data: &'a Bytes) -> Option<(&'a str, Bytes)> {
    let mut parts = data.strip_prefix(mark.as_bytes())?.splitn(3, |byte| *byte == b':');
    let outcome = std::str::from_utf8(parts.next()?).ok()?;
    let length = std::str::from_utf8(parts.next()?).ok()?.parse::<usize>().ok()?;
    let content = parts.next()?;
    (content.len() == length).then(|| (outcome, data.slice_ref(content)))
}

fn truncated() -> CallError {
    CallError::Backend(Error::Unavailable("the answer of the actor was cut off".into()))
}

fn failure(content: &[u8]) -> CallError {
    let Ok(FailureBody { code, status, detail }) = daca_base::json::read(content) else { return truncated() };
    match AnyCode::of(&code) {
        AnyCode::Known(ErrorCode::Invalid) => CallError::Invalid(detail),
        AnyCode::Known(ErrorCode::NotFound) => CallError::NotFound(detail),
        AnyCode::Known(ErrorCode::Failed) => CallError::Failed(detail),
        code => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let class = class_of(&code, status);
            CallError::Elsewhere(RemoteError { code, class, status: status.as_u16(), detail })
        }
    }
}

/// The class of another host's error, by the status: its build may have codes that this one does not know, or know a
/// code in another class. A code decides only whether a failure would occur again; one that is not known may pass.
fn class_of(code: &AnyCode, status: StatusCode) -> Class {
    let known = match code {
        AnyCode::Known(code) => Some(code.class()),
        AnyCode::Foreign(_) => None,
    };
    let is_permanent = matches!(known, Some(Class::Permanent | Class::OverQuota));
    match status.as_u16() {
        404 => Class::NotFound,
        413 => Class::TooLarge,
        429 => Class::Busy,
        503 => Class::Unavailable,
        507 if is_permanent => Class::OverQuota,
        507 => Class::StorageFull,
        400..500 => Class::Invalid,
        500..600 if !is_permanent => Class::Failed,
        // No host answers with another status.
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod upgrades;

#[cfg(test)]
mod tests {
    use super::*;

    fn callee() -> ActorAddress {
        "A/ü, %2C".parse().expect("an address")
    }

    fn received(context: &CallContext) -> (HeaderMap, String) {
        let mark = new_mark();
        let headers = headers(&callee(), context, &mark);
        (HeaderMap::try_from(&headers).expect("all can be headers"), mark)
    }

    /// What a caller hands on arrives at the callee, whatever the ids are.
    #[test]
    fn the_context_of_a_call_survives_its_headers() {
        let waiting =
            ["A/a,b c%2C", "B/ü 漢", "C/d"].map(|text| text.parse::<ActorAddress>().expect("an address"));
        let key = CallIdentity::of_key("a \"key\", of: ~").expect("a key");
        let attempt = CallIdentity::Attempt("to be replaced".into());
        let messages = ["t/0/1", "100%41/t/0/1/2", "küche, links/t/0/1/2", &"漢".repeat(MAX_LEN / 3)]
            .map(|place| Some(CallIdentity::Message(place.into())));
        for identity in [None, Some(key), Some(attempt)].into_iter().chain(messages) {
            let context = CallContext {
                traceparent: Some("00-aa-bb-01".into()),
                reentrancy_id: Some("r".into()),
                identity,
                waiting: waiting.to_vec(),
                is_woken: true,
                ..CallContext::default()
            };
            let (headers, mark) = received(&context);
            let arrived = context_of(&headers);
            let mark = Arc::<str>::from(mark);
            let attempt = CallIdentity::Attempt(mark.clone());
            let is_attempt = matches!(context.identity, Some(CallIdentity::Attempt(_)));
            let identity = if is_attempt { Some(attempt) } else { context.identity.clone() };
            assert_eq!(arrived.mark, Some(mark));
            assert_eq!(arrived.waiting, context.waiting);
            assert_eq!(arrived.traceparent, context.traceparent);
            assert_eq!(arrived.reentrancy_id, context.reentrancy_id);
            assert_eq!(arrived.identity, identity);
            assert!(arrived.is_woken);
        }
    }

    #[test]
    fn a_call_that_reaches_another_actor_than_it_was_meant_for_is_known() {
        let (headers, _) = received(&CallContext::default());
        assert!(!is_misdelivered(&headers, &callee()));
        assert!(is_misdelivered(&headers, &"A/b".parse().expect("an address")));
        assert!(!is_misdelivered(&HeaderMap::new(), &callee()), "of another program");
    }

    /// An agent cannot make its reply look like a failure of the host: it never sees the mark.
    #[test]
    fn only_what_begins_with_the_mark_of_the_call_is_a_failure() {
        let (headers, mark) = received(&CallContext::default());
        let sent = answer_mark(&headers).expect("the mark is sent");
        let body = failure_body(sent, &CallError::Invalid("no".into()), StatusCode::BAD_REQUEST);
        assert!(matches!(reply(&mark, body.to_vec(), true), Err(CallError::Invalid(text)) if text == "no"));
        let (_, other_mark) = received(&CallContext::default());
        assert_eq!(reply(&other_mark, body.to_vec(), false).expect("a reply"), body);
        let busy = failure_body(sent, &CallError::HostBusy(7), StatusCode::SERVICE_UNAVAILABLE);
        match reply(&mark, busy.to_vec(), true) {
            Err(CallError::Elsewhere(RemoteError { code, status, .. })) => {
                assert_eq!((code.as_str(), status), ("host-busy", 503));
            }
            Err(error) => panic!("{error:?}"),
            Ok(reply) => panic!("{reply:?}"),
        }
    }

    /// Another build may have codes that this one does not know, and any status.
    #[test]
    fn whether_a_foreign_failure_may_pass_follows_its_status() {
        for (code, status, is_retryable, is_refusal) in [
            ("later", 429, true, true),
            ("later", 503, true, true),
            ("later", 500, true, false),
            ("later", 507, true, false),
            ("later", 99, true, false),
            ("later", 404, false, false),
            ("later", 408, false, false),
            ("later", 413, false, false),
            ("later", 302, false, false),
            ("call-chain-too-deep", 500, false, false),
            ("state-total-exceeded", 507, false, false),
        ] {
            let content = json!({ "code": code, "status": status, "detail": "no" }).to_string();
            let body = marked("mark", "failure", content.as_bytes());
            let error = reply("mark", body.to_vec(), true).expect_err("it is a failure");
            let told = (error.is_retryable(), error.is_refusal());
            assert_eq!(told, (is_retryable, is_refusal), "{code} {status}");
        }
    }

    #[test]
    fn a_reply_arrives_whole_or_not_at_all() {
        let (_, mark) = received(&CallContext::default());
        for content in ["", "a:b", "{}"] {
            let content = Bytes::from(content);
            let body = reply_body(&mark, &content);
            assert_eq!(reply(&mark, body.to_vec(), true).expect("a reply"), content);
            for length in 0..body.len() {
                let error = reply(&mark, body[..length].to_vec(), true).expect_err("it broke off");
                assert_eq!(error.code().as_str(), "backend-unavailable", "{length}");
            }
        }
    }
}
