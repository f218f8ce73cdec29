//! What hosts send to each other, written and read: whatever a call is, and whatever arrives.

use http::{HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const SENT: &str = "daca:mark:";

fn addresses() -> impl Strategy<Value = ActorAddress> {
    ("[A-Za-z0-9_.-]{1,20}", ".{1,40}")
        .prop_filter_map("no address", |(agent_type, id)| ActorAddress::new(&agent_type, &id).ok())
}

fn identities() -> impl Strategy<Value = Option<CallIdentity>> {
    prop_oneof![
        Just(None),
        "[!-~]{1,200}".prop_map(|place| Some(CallIdentity::Message(place.into()))),
        ".{1,200}".prop_map(|place| Some(CallIdentity::Message(place.into()))),
        "[ -~]{1,255}".prop_map(|key| CallIdentity::of_key(&key).ok()),
        Just(Some(CallIdentity::Attempt(SENT.into()))),
    ]
}

fn contexts() -> impl Strategy<Value = CallContext> {
    let parts = (vec(addresses(), 0..8), identities(), option::of("[!-~]{1,60}"), option::of("[!-~]{1,60}"));
    (parts, any::<bool>()).prop_map(|((waiting, identity, traceparent, id), is_woken)| CallContext {
        waiting,
        identity,
        traceparent: traceparent.map(Arc::from),
        reentrancy_id: id.map(Arc::from),
        is_woken,
        ..CallContext::default()
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// The headers of this module, with values that nobody has checked.
fn foreign_headers() -> impl Strategy<Value = HeaderMap> {
    let names = prop::sample::select(vec![
        "daca-mark",
        "daca-actor",
        "daca-once",
        "daca-waiting",
        "daca-message-id",
        "daca-message-id-encoded",
        "daca-call-key",
        "dapr-reentrancy-id",
        "daca-woken",
        "traceparent",
    ]);
    let values =
        prop_oneof![bytes(), "[A-Za-z/%,]{0,60}".prop_map(String::into_bytes), Just(b"true".to_vec())];
    vec((names, values), 0..20).prop_map(|lines| {
        let lines = lines.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?))
        });
        lines.collect::<HeaderMap>()
    })
}

proptest! {
    #[test]
    fn the_context_of_any_call_survives_its_headers(callee in addresses(), context in contexts()) {
        let sent = headers(&callee, &context, SENT);
        let sent = HeaderMap::try_from(&sent).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(!is_misdelivered(&sent, &callee));
        prop_assert_eq!(answer_mark(&sent), Some(SENT));
        let arrived = context_of(&sent);
        prop_assert_eq!(arrived.mark.as_deref(), Some(SENT));
        prop_assert_eq!(arrived.waiting, context.waiting);
        prop_assert_eq!(arrived.identity, context.identity);
        prop_assert_eq!(arrived.traceparent, context.traceparent);
        prop_assert_eq!(arrived.reentrancy_id, context.reentrancy_id);
        prop_assert_eq!(arrived.is_woken, context.is_woken);
    }

    #[test]
    fn a_call_for_one_actor_never_passes_for_a_call_of_another(meant in addresses(), other in addresses()) {
        let sent = headers(&meant, &CallContext::default(), SENT);
        let sent = HeaderMap::try_from(&sent).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(is_misdelivered(&sent, &other), meant != other);
    }

    /// Anybody can send them: what is too long is left out, and nobody can claim what only the host itself knows.
    #[test]
    fn any_headers_give_a_context_within_bounds(headers in foreign_headers()) {
        let context = context_of(&headers);
        for text in [&context.mark, &context.traceparent, &context.reentrancy_id].into_iter().flatten() {
            prop_assert!((1..=MAX_LEN).contains(&text.len()));
        }
        if let Some(CallIdentity::Message(place)) = &context.identity {
            prop_assert!((1..=MAX_LEN).contains(&place.len()));
        }
        for waiting in &context.waiting {
            prop_assert!(ActorAddress::new(&waiting.agent_type, &waiting.id).is_ok());
        }
        prop_assert!(!context.of_host && !context.is_direct);
    }

    #[test]
    fn any_reply_arrives_whole_or_is_cut_off(content in bytes(), place in any::<Index>()) {
        let content = Bytes::from(content);
        let body = reply_body(SENT, &content);
        prop_assert_eq!(reply(SENT, body.to_vec(), true).ok(), Some(content));
        let cut = reply(SENT, body[..place.index(body.len())].to_vec(), true);
        prop_assert_eq!(cut.err().map(|error| error.code().to_string()), Some("backend-unavailable".to_owned()));
    }

    #[test]
    fn any_failure_arrives_with_its_code_status_and_text(text in ".{0,200}", kind in 0..4) {
        let error = match kind {
            0 => CallError::Invalid(text),
            1 => CallError::NotFound(text),
            2 => CallError::Failed(text),
            _ => CallError::NeededUnavailable(text),
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let arrived = reply(SENT, failure_body(SENT, &error, status).to_vec(), true);
        let shown = |error: &CallError| (error.code(), error.to_string());
        prop_assert_eq!(arrived.as_ref().err().map(shown), Some(shown(&error)));
        // The agent's own failures have their status by themselves.
        if let Err(CallError::Elsewhere(RemoteError { status: passed_on, .. })) = arrived {
            prop_assert_eq!(passed_on, status.as_u16());
        }
    }

    #[test]
    fn an_answer_without_the_mark_is_the_reply_of_another_program_alone(
        content in prop_oneof![
            bytes(),
            "(ok|failure)?:[0-9]{0,22}:[ -~]{0,40}".prop_map(String::into_bytes),
            r#"failure:[0-9]{2}:\{"code":"[a-z]{0,9}","status":[0-9]{1,6},"detail":"x"\}"#
                .prop_map(String::into_bytes),
        ],
        is_of_a_host in any::<bool>(),
    ) {
        for answer in [content.clone(), [SENT.as_bytes(), &content].concat()] {
            let is_marked = answer.starts_with(SENT.as_bytes());
            match reply(SENT, answer.clone(), is_of_a_host) {
                Ok(reply) => prop_assert!(is_marked || (!is_of_a_host && reply == answer)),
                Err(error) => prop_assert!(is_marked || is_of_a_host, "{}", error.code()),
            }
        }
    }
}
