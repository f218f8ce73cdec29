//! Schema migration: an actor's state is converted to a new version's schema, at the beginning of its first turn there.
//!
//! The guest names the keys that it reads, and returns their replacement. Both pass through the turn's scope, so the
//! limits of a guest's own reads and writes apply, and everything commits with the turn or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;
use wasmtime::Store;

use super::{InstanceState, Outcome};
use crate::contract::daca::agent::types::{Error, Failure};
use crate::contract::exports::daca::agent::migration::Guest;
use crate::imports::TurnScope;
use daca_model::MAX_LABEL;
use daca_model::backend::{Expiry, StateValue, StateWrite};

/// What a guest says in place of a label or of keys begins with this if it has failed: these functions return no result. No
/// label and no key has a control character.
const FAILED: &str = "daca:failed\n";

/// The label of the version's schema.
pub(super) async fn label(
    store: &mut Store<InstanceState>,
    guest: Option<&Guest>,
) -> wasmtime::Result<Outcome> {
    let Some(guest) = guest else {
        let text = "the component does not export migration, so its state has no label";
        return Ok(Outcome::Failure(Failure::NotFound(text.into())));
    };
    let label = guest.call_label(store).await?;
    if let Some(reason) = label.strip_prefix(FAILED) {
        return Ok(Outcome::Failure(Failure::Failed(reason.to_owned())));
    }
    Ok(match check_label(&label) {
        Ok(()) => Outcome::Reply(label.into()),
        Err(text) => Outcome::Failure(Failure::Invalid(text)),
    })
}

fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("the label of the state is empty".into());
    }
    if label.len() > MAX_LABEL {
        return Err(format!("the label of the state has {} bytes; the maximum is {MAX_LABEL}", label.len()));
    }
    if label.chars().any(char::is_control) {
        return Err(format!("the label {label:?} of the state has a control character"));
    }
    Ok(())
}

/// Has a guest migrate the state of another schema, and stages the changes. If none of the guest's keys exists, there
/// is nothing to migrate.
pub(super) async fn run(
    store: &mut Store<InstanceState>,
    guest: &Guest,
    from: &str,
) -> wasmtime::Result<Result<(), Failure>> {
    let keys = guest.call_keys(&mut *store, from).await?;
    if let [only] = &keys[..]
        && let Some(reason) = only.strip_prefix(FAILED)
    {
        return Ok(Err(refused(from, reason)));
    }
    let before = match read(store.data_mut().scope(), keys).await {
        Ok(before) => before,
        Err(error) => return Ok(Err(failed("the state that is to be migrated cannot be read", error))),
    };
    if before.is_empty() {
        return Ok(Ok(()));
    }
    let state = before.iter().map(|(key, value)| (key.clone(), value.value.to_vec())).collect::<Vec<_>>();
    let after = match guest.call_migrate(&mut *store, from, &state).await? {
        Ok(after) => after,
        // Whatever it says, the caller is not at fault.
        Err(Failure::Invalid(text) | Failure::NotFound(text) | Failure::Failed(text)) => {
            return Ok(Err(refused(from, &text)));
        }
    };
    let now = store.data_mut().scope().now();
    let changes = match changes(&before, after, now) {
        Ok(changes) => changes,
        Err(failure) => return Ok(Err(failure)),
    };
    Ok(stage(store.data_mut().scope(), changes))
}

fn refused(from: &str, reason: &str) -> Failure {
    Failure::Failed(format!("the migration from {from:?} failed: {reason}"))
}

/// The existing ones of the keys.
async fn read(scope: &mut TurnScope, keys: Vec<String>) -> Result<BTreeMap<String, StateValue>, Error> {
    let keys = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let values = scope.read(&keys).await?;
    Ok(keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect())
}

/// The writes that turn the state into the one that the guest returned. An unchanged value is left alone.
fn changes(
    before: &BTreeMap<String, StateValue>,
    after: Vec<(String, Vec<u8>)>,
    now: SystemTime,
) -> Result<BTreeMap<String, StateWrite>, Failure> {
    let mut changes = before.keys().map(|key| (key.clone(), StateWrite::Delete)).collect::<BTreeMap<_, _>>();
    let mut given_back = BTreeSet::new();
    for (key, value) in after {
        if !given_back.insert(key.clone()) {
            return Err(Failure::Failed(format!("the migration returns the key {key:?} twice")));
        }
        let old = before.get(&key);
        if old.is_some_and(|old| old.value == value) {
            changes.remove(&key);
        } else {
            let expiry = old.map_or(Expiry::Never, |old| old.expiry);
            changes.insert(key, set(value.into(), expiry, now));
        }
    }
    Ok(changes)
}

/// A value that expires when the previous one would have. The migration may take so long that this time is over.
fn set(value: Bytes, expiry: Expiry, now: SystemTime) -> StateWrite {
    match expiry {
        // If the store does not report the time, it is lost rather than the value.
        Expiry::Never | Expiry::Unknown => StateWrite::Set { value, ttl: None },
        Expiry::At(at) => match at.duration_since(now) {
            Ok(ttl) if !ttl.is_zero() => StateWrite::Set { value, ttl: Some(ttl) },
            _ => StateWrite::Delete,
        },
    }
}

fn stage(scope: &mut TurnScope, changes: BTreeMap<String, StateWrite>) -> Result<(), Failure> {
    for (key, write) in changes {
        scope.write(key, write).map_err(|error| failed("the migrated state cannot be written", error))?;
    }
    Ok(())
}

fn failed(what: &str, error: Error) -> Failure {
    let (Error::Denied(text)
    | Error::NotFound(text)
    | Error::Invalid(text)
    | Error::Unavailable(text)
    | Error::TooLarge(text)
    | Error::Other(text)) = error;
    Failure::Failed(format!("{what}: {text}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn value(text: &'static str, expiry: Expiry) -> StateValue {
        StateValue { value: Bytes::from_static(text.as_bytes()), expiry }
    }

    /// The changes, as `KEY deleted` or `KEY=VALUE` with the time to live where there is one.
    fn written(before: &[(&str, StateValue)], after: &[(&str, &str)], now: SystemTime) -> Vec<String> {
        let before = before.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let after = after.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let changes = changes(&before, after, now).expect("no key is given back twice");
        let text = |(key, write): (String, StateWrite)| match write {
            StateWrite::Delete => format!("{key} deleted"),
            StateWrite::Set { value, ttl: None } => format!("{key}={}", String::from_utf8_lossy(&value)),
            StateWrite::Set { value, ttl: Some(ttl) } => {
                format!("{key}={} for {ttl:?}", String::from_utf8_lossy(&value))
            }
        };
        changes.into_iter().map(text).collect()
    }

    #[test]
    fn what_is_given_back_takes_the_place_of_what_was_given() {
        let before = [
            ("changed", value("1", Expiry::Never)),
            ("gone", value("2", Expiry::Never)),
            ("same", value("3", Expiry::Never)),
        ];
        let after = [("same", "3"), ("new", "4"), ("changed", "5")];
        assert_eq!(
            written(&before, &after, SystemTime::now()),
            ["changed=5", "gone deleted", "new=4"],
            "a value that is as it was is not written again"
        );
    }

    #[test]
    fn a_key_keeps_what_is_left_of_its_time_to_live() {
        let now = SystemTime::now();
        let before = [
            ("lives", value("1", Expiry::At(now + Duration::from_secs(5)))),
            ("untold", value("1", Expiry::Unknown)),
            ("over", value("1", Expiry::At(now - Duration::from_secs(1)))),
        ];
        let after = [("lives", "2"), ("untold", "2"), ("over", "2")];
        assert_eq!(written(&before, &after, now), ["lives=2 for 5s", "over deleted", "untold=2"]);
    }

    #[test]
    fn a_key_that_is_given_back_twice_is_refused() {
        let twice = vec![("k".to_owned(), vec![1]), ("k".to_owned(), vec![1])];
        assert!(changes(&BTreeMap::new(), twice, SystemTime::now()).is_err());
    }

    #[test]
    fn a_label_is_short_and_printable() {
        for (label, fits) in
            [("2", true), (&"x".repeat(64), true), ("", false), (&"x".repeat(65), false), ("a\nb", false)]
        {
            assert_eq!(check_label(label).is_ok(), fits, "{label:?}");
        }
    }
}
