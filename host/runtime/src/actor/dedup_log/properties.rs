//! The three parts of the dedup log, written and read: whatever the calls are, and whatever a store returns.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::actor::marks::Marks;
use daca_base::ErrorCode;

/// Calls in the order in which they are handled: id, payload and reply, and the second.
fn calls() -> impl Strategy<Value = Vec<(String, Vec<u8>, u32)>> {
    vec((".{0,40}", vec(any::<u8>(), 0..200), any::<u32>()), 1..40)
}

/// The log of an actor that has handled these calls.
fn log_of(calls: Vec<(String, Vec<u8>, u32)>) -> (Marks, Replies, Attempts) {
    let mut log = <(Marks, Replies, Attempts)>::default();
    for (id, bytes, second) in calls {
        let (mut marks, replies, attempts) = log;
        marks.add(Mark::of_call(&id, second));
        let reply = Bytes::from(bytes);
        let request = RequestHash::new(&id, &reply);
        log = (marks, replies.with(&id, request, &reply, second), attempts.with(&id, &reply, second));
    }
    log
}

/// Values of a store: any bytes, and what looks like JSON.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        r#"[\[\]{}",:=+/\\0-9A-Fa-fnul -]{0,200}"#.prop_map(String::into_bytes),
        r#"\[\[("[0-9a-f]{32}",){1,2}[0-9]{1,12},("[A-Za-z0-9+/=]{0,8}"|null)\]\]"#
            .prop_map(String::into_bytes),
        r#""[A-Za-z0-9+/]{0,64}={0,2}""#.prop_map(String::into_bytes),
    ]
}

fn failed(error: backend::Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// Reads a value as each part. What is readable, as far as it was kept, is the same when it is written again.
fn read(value: Bytes) -> Result<(), TestCaseError> {
    let unreadable = |error: backend::Error| CallError::Backend(error).code();
    match Marks::read(KEYED, Some(value.clone())) {
        Ok(marks) => prop_assert_eq!(Marks::read(KEYED, Some(marks.text().into())).ok(), Some(marks)),
        Err(error) => prop_assert_eq!(unreadable(error), ErrorCode::BackendRefused),
    }
    match Replies::read(REPLIES, Some(value.clone())) {
        Ok(replies) => {
            prop_assert_eq!(Replies::read(REPLIES, Some(replies.text().into())).ok(), Some(replies))
        }
        Err(error) => prop_assert_eq!(unreadable(error), ErrorCode::BackendRefused),
    }
    // An unreadable one counts as empty.
    let attempts = Attempts::read(ATTEMPTS, Some(&value)).map_err(failed)?;
    prop_assert_eq!(Attempts::read(ATTEMPTS, Some(&attempts.text().into())).ok(), Some(attempts));
    Ok(())
}

proptest! {
    #[test]
    fn the_log_is_read_as_it_was_written_and_has_the_last_call(calls in calls()) {
        let last = calls.last().map(|(id, ..)| id.clone()).unwrap_or_default();
        let (marks, replies, attempts) = log_of(calls);
        prop_assert!(marks.has(&last) && replies.of(&last).is_some() && attempts.of(&last).is_some());
        prop_assert_eq!(Marks::read(KEYED, Some(marks.text().into())).ok(), Some(marks));
        prop_assert_eq!(Replies::read(REPLIES, Some(replies.text().into())).ok(), Some(replies));
        prop_assert_eq!(Attempts::read(ATTEMPTS, Some(&attempts.text().into())).ok(), Some(attempts));
    }

    #[test]
    fn whatever_a_store_returns_is_read_or_refused_with_a_code(value in values()) {
        read(value.into())?;
    }

    #[test]
    fn a_log_that_was_cut_off_or_altered_is_read_or_refused_with_a_code(
        calls in calls(), place in any::<Index>(), byte in any::<u8>(),
    ) {
        let (marks, replies, attempts) = log_of(calls);
        for mut text in [marks.text(), replies.text(), attempts.text().into_bytes()] {
            let place = place.index(text.len());
            read(text[..place].to_vec().into())?;
            text[place] = byte;
            read(text.into())?;
        }
    }
}
