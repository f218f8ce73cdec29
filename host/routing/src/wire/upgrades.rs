//! Calls between hosts of two releases, which are under way together during a rolling update.

use http::{HeaderName, HeaderValue};

use super::*;

/// The headers of a call as the release before sends them.
const CALL: &str = include_str!("../../tests/sent/ec781bc/call.headers");
const MARK_SENT: &str = "daca:m:";

fn read(lines: &str) -> HeaderMap {
    let lines = lines.lines().map(|line| line.split_once(": ").expect("a header"));
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    lines.map(header).collect()
}

fn callee() -> ActorAddress {
    "Ledger/actor-1, ü".parse().expect("an address")
}

#[test]
fn a_call_of_the_release_before_is_read_and_sent_as_it_was() {
    let received = read(CALL);
    assert!(!is_misdelivered(&received, &callee()));
    let context = context_of(&received);
    let mark = answer_mark(&received).expect("it has a mark");
    assert_eq!(context.identity, Some(CallIdentity::Attempt(mark.into())));
    assert_eq!(
        context.waiting.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["Saga/order-7", "Stock/shelf 2"]
    );
    assert!(context.is_woken && context.reentrancy_id.is_some() && context.traceparent.is_some());
    let sent = HeaderMap::try_from(&headers(&callee(), &context, mark)).expect("all can be headers");
    assert_eq!(sent, received);
}

/// It neither encodes nor decodes it, also if it looks as if it were encoded.
#[test]
fn the_identity_of_a_message_is_the_same_for_the_release_before() {
    for place in ["b/t/0/1/1000", "100%41/t/0/1/1000", "küche/t/0/1/1000"] {
        let value = HeaderValue::from_bytes(place.as_bytes()).expect("a value");
        let received = HeaderMap::from_iter([(HeaderName::from_static(MESSAGE_ID), value)]);
        let identity = context_of(&received).identity;
        assert_eq!(identity, Some(CallIdentity::Message(place.into())), "{place}");
        let sent = headers(&callee(), &CallContext { identity, ..CallContext::default() }, MARK_SENT);
        // It would ignore one that is not ASCII.
        assert_eq!(sent.get(MESSAGE_ID).map(String::as_str), Some(place).filter(|place| place.is_ascii()));
    }
}

/// What a newer release adds is for hosts that know it.
#[test]
fn headers_that_this_release_does_not_know_change_nothing() {
    let newer = read(&format!("{CALL}daca-priority: low\ndaca-format: 2\n"));
    let (known, newer) = (context_of(&read(CALL)), context_of(&newer));
    assert_eq!((known.identity, known.waiting), (newer.identity, newer.waiting));
    assert_eq!((known.mark, known.is_woken), (newer.mark, newer.is_woken));
}

#[test]
fn an_answer_of_another_release_is_read_whatever_it_adds() {
    let body = include_bytes!("../../tests/sent/ec781bc/reply.body").to_vec();
    assert_eq!(reply(MARK_SENT, body, true).expect("a reply"), r#"{"n":1}"#);
    let body = include_bytes!("../../tests/sent/ec781bc/failure.body").to_vec();
    let error = reply(MARK_SENT, body, true).expect_err("a failure");
    assert_eq!((error.code().as_str(), error.is_refusal()), ("actor-queue-full", true));
    let newer = r#"{"code":"moved-on","status":503,"detail":"call again","after":{"ms":5}}"#;
    let error = reply(MARK_SENT, marked(MARK_SENT, "failure", newer.as_bytes()).to_vec(), true);
    let error = error.expect_err("a failure");
    assert_eq!((error.code().as_str(), error.is_retryable()), ("moved-on", true));
    // An outcome that this release does not know is no reply.
    let other = reply(MARK_SENT, marked(MARK_SENT, "partial", b"{}").to_vec(), true);
    assert_eq!(other.expect_err("it is no reply").code().as_str(), "backend-unavailable");
}
