//! Dead letters: the common part of those of events and of bindings' messages. Every dead letter can be published.

use std::collections::{BTreeMap, HashMap};

use axum::http::HeaderMap;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use daca_base::telemetry::ellipsized;
use daca_model::backend;

/// Names whose failed attempts are counted at the same time.
const MAX_COUNTED: usize = 10_000;
/// The bytes of the headers in a dead letter, and of each text: far less than any broker's limit.
const LETTER_HEADERS: usize = 64 * 1024;
const LETTER_TEXT: usize = 4 * 1024;
/// Headers of the transport or the sidecar, not of the message.
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

/// A dead letter to be published.
pub(super) struct TopicDeadLetter {
    /// Its name, which is the same on each attempt.
    pub(super) name: String,
    /// Attempts at the complete letter, before it counts as too large.
    pub(super) attempts: u32,
    pub(super) whole: Bytes,
    /// The form without the original message, if that is shorter.
    pub(super) short: Option<Bytes>,
}

/// Counts failed attempts.
#[derive(Default)]
pub(super) struct Tries(Mutex<Counts>);

/// The counts by the hash of a name, since who sends a message may choose its length. If there are too many, the one with
/// the fewest attempts is forgotten, and of those the oldest: who sends many messages that fail must not make one that
/// keeps failing begin anew.
///
/// They are not divided by senders: all messages come from the sidecar. Without its token, anybody could end a count by a
/// message of the same name that succeeds.
#[derive(Default)]
struct Counts {
    by_name: HashMap<NameHash, Place>,
    by_place: BTreeMap<Place, NameHash>,
    /// The number of the next attempt of all.
    next: u64,
}

type NameHash = [u8; 32];

/// The number of failed attempts, and of the last one among those of all names.
type Place = (u32, u64);

impl Tries {
    /// Publishes a dead letter, complete if possible.
    pub(super) async fn publish<F>(
        &self,
        letter: TopicDeadLetter,
        send: impl Fn(Bytes) -> F,
    ) -> Result<(), backend::Error>
    where
        F: Future<Output = Result<(), backend::Error>>,
    {
        let TopicDeadLetter { name, attempts, whole, short } = letter;
        match (send(whole).await, short) {
            (Err(error), Some(short)) if self.is_too_large(&error, &name, attempts) => send(short).await?,
            (published, _) => published?,
        }
        self.forget(&name);
        Ok(())
    }

    /// Returns `true` if the dead letter is larger than the sidecar accepts, or, as far as one can tell, its broker.
    /// The sidecar reports a refusal by its broker as unavailability, so a letter with enough attempts counts as too
    /// large.
    fn is_too_large(&self, error: &backend::Error, name: &str, attempts: u32) -> bool {
        matches!(error, backend::Error::TooLarge(_)) || self.has_failed(name, attempts)
    }

    /// Counts a failed attempt. Returns `true` if the maximum is reached.
    pub(super) fn has_failed(&self, name: &str, attempts: u32) -> bool {
        self.0.lock().add(hash(name)) >= attempts
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.lock().remove(&hash(name));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().by_name.is_empty()
    }
}

impl Counts {
    /// Returns the number of attempts with this one.
    fn add(&mut self, name: NameHash) -> u32 {
        let count = self.remove(&name).saturating_add(1);
        while self.by_name.len() >= MAX_COUNTED
            && let Some((_, least)) = self.by_place.pop_first()
        {
            self.by_name.remove(&least);
        }
        let place = (count, self.next);
        self.next += 1;
        self.by_name.insert(name, place);
        self.by_place.insert(place, name);
        count
    }

    /// Returns the number of attempts.
    fn remove(&mut self, name: &NameHash) -> u32 {
        let Some(place) = self.by_name.remove(name) else { return 0 };
        self.by_place.remove(&place);
        place.0
    }
}

fn hash(name: &str) -> NameHash {
    Sha256::digest(name).into()
}

/// Adds the headers of a message. Headers beyond the maximum size are omitted, and counted.
pub(super) fn add_headers(letter: &mut Value, headers: &HeaderMap) {
    let mut left = LETTER_HEADERS;
    let mut left_out = 0_usize;
    let mut of_message = Map::new();
    for (name, value) in headers {
        if NOT_OF_THE_MESSAGE.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        match left.checked_sub(name.as_str().len() + value.len()) {
            Some(rest) => {
                left = rest;
                of_message.insert(name.as_str().to_owned(), value.into());
            }
            None => left_out += 1,
        }
    }
    letter["headers"] = of_message.into();
    if left_out > 0 {
        letter["headers_left_out"] = left_out.into();
    }
}

/// A text for a dead letter.
pub(super) fn shortened(text: String) -> String {
    ellipsized(text, LETTER_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daca_model::backend::Error;

    /// Publishes a dead letter to a broker that accepts only the short one. Returns whether it was published, and the data that
    /// was sent.
    async fn publish(tries: &Tries, error: fn(String) -> Error) -> (bool, Vec<&'static str>) {
        let sent = Mutex::new(Vec::new());
        let letter = TopicDeadLetter {
            name: "a".into(),
            attempts: 3,
            whole: Bytes::from_static(b"whole"),
            short: Some(Bytes::from_static(b"short")),
        };
        let send = |bytes: Bytes| {
            let is_short = bytes == "short";
            sent.lock().push(if is_short { "short" } else { "whole" });
            std::future::ready(if is_short { Ok(()) } else { Err(error("no".into())) })
        };
        let published = tries.publish(letter, send).await.is_ok();
        (published, sent.into_inner())
    }

    #[tokio::test]
    async fn a_letter_that_fails_often_enough_counts_as_too_large() {
        let tries = Tries::default();
        assert_eq!(publish(&tries, Error::TooLarge).await, (true, vec!["whole", "short"]));
        // A broker's own limit looks as if the broker were away.
        for _ in 0..2 {
            assert_eq!(publish(&tries, Error::Unavailable).await, (false, vec!["whole"]));
            assert_eq!(publish(&tries, Error::Unavailable).await, (false, vec!["whole"]));
            assert_eq!(publish(&tries, Error::Unavailable).await, (true, vec!["whole", "short"]));
            assert!(tries.is_empty());
        }
    }

    #[test]
    fn many_messages_that_fail_do_not_reset_the_count_of_another() {
        let tries = Tries::default();
        let has_failed = |name: &str| tries.has_failed(name, 3);
        assert!(!has_failed("poisoned") && !has_failed("poisoned"));
        for number in 0..2 * MAX_COUNTED {
            assert!(!has_failed(&number.to_string()));
        }
        let counts = tries.0.lock();
        assert_eq!((counts.by_name.len(), counts.by_place.len()), (MAX_COUNTED, MAX_COUNTED));
        drop(counts);
        assert!(has_failed("poisoned"));
        let last = (2 * MAX_COUNTED - 1).to_string();
        assert!(!has_failed(&last) && has_failed(&last), "the oldest were forgotten, and not the last");
        tries.forget(&last);
        assert!(!has_failed(&last));
    }
}
