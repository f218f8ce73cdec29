//! The dedup log between releases: that of the release before is read and written as it was, and that of a newer one is
//! refused.

use daca_base::ErrorCode;
use daca_base::error_code::AnyCode;

use super::*;
use crate::actor::marks::Marks;

fn stored(text: &'static str) -> Bytes {
    text.trim_end().into()
}

#[test]
fn the_log_of_the_release_before_is_read_and_written_as_it_was() {
    let consumed = stored(include_str!("../../../tests/stored/ec781bc/consumed.json"));
    let marks = Marks::read(MESSAGES, Some(consumed.clone())).expect("it is read");
    assert!(marks.has("kafka-binding/user-messages/0/5/1764410400000"));
    assert!(marks.has("kafka-binding/user-messages/1/9/1764410401000") && !marks.has("other"));
    assert_eq!(marks.text(), consumed);

    let called = stored(include_str!("../../../tests/stored/ec781bc/called.json"));
    let marks = Marks::read(KEYED, Some(called.clone())).expect("it is read");
    assert!(marks.has("order-1") && marks.has("order-2") && !marks.has("order-3"));
    assert_eq!(marks.text(), called);

    let kept = stored(include_str!("../../../tests/stored/ec781bc/replies.json"));
    let replies = Replies::read(REPLIES, Some(kept.clone())).expect("it is read");
    let reply = replies.of("order-2").expect("its reply is kept");
    assert_eq!(reply.reply, "\"zwei ü\"");
    assert!(reply.request == RequestHash::new("Add", br#"{"number":2}"#));
    assert_eq!(replies.text(), kept);

    let kept = stored(include_str!("../../../tests/stored/ec781bc/attempts.json"));
    let attempts = Attempts::read(ATTEMPTS, Some(&kept)).expect("it is read");
    assert_eq!(attempts.of("daca:mark-1:"), Some(Some(&r#"{"n":1}"#.into())));
    assert_eq!((attempts.of("daca:mark-2:"), attempts.of("daca:mark-3:")), (Some(None), None));
    assert_eq!(attempts.text(), kept);
}

/// It would be lost with the next commit if it counted as missing.
#[test]
fn a_log_of_a_newer_format_is_refused() {
    let newer = Bytes::from_static(br#"{"format":2,"marks":[]}"#);
    let code = |error: Option<backend::Error>| error.map(|error| CallError::Backend(error).code());
    let too_new = Some(AnyCode::Known(ErrorCode::StateTooNew));
    assert_eq!(code(Marks::read(MESSAGES, Some(newer.clone())).err()), too_new);
    assert_eq!(code(Replies::read(REPLIES, Some(newer.clone())).err()), too_new);
    assert_eq!(code(Attempts::read(ATTEMPTS, Some(&newer)).err()), too_new);
}
