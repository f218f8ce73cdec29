//! The record between releases: that of the release before is read and written as it was, and what a newer release adds
//! survives a change that this one makes.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::properties::{any_change, change_as_a_controller, config, json as stored, record_with_a_file};
use super::*;

/// As the release before writes it into the shared state.
const SHARED: &str = include_str!("../../tests/stored/ec781bc/shared-record.json");
/// As the release before writes it into the data folder.
const LOCAL: &str = include_str!("../../tests/stored/ec781bc/record.json");

#[test]
fn the_record_of_the_release_before_is_read_and_written_as_it_was() {
    let record = read(SHARED.as_bytes()).expect("it is read");
    assert_eq!((record.revision, record.pins.len(), record.history.len()), (4, 1, 5));
    assert_eq!(record.canary.as_ref().map(|canary| canary.share), Some(50));
    assert_eq!(String::from_utf8_lossy(&stored(&record)), SHARED.trim_end());
    let local = read_local(LOCAL.as_bytes()).expect("it is read");
    assert_eq!(*local.record, record);
    let text = serde_json::to_string_pretty(&local).expect("it is written");
    assert_eq!(text, LOCAL.trim_end());
}

/// The release before would refuse the record, and go its own way.
#[test]
fn a_word_that_this_release_does_not_know_is_kept_and_spoils_nothing() {
    let text = SHARED.replace(r#""what":"pinned""#, r#""what":"drained""#);
    let text = text.replace(r#""source":"file""#, r#""source":"registry""#);
    let mut record = read(text.as_bytes()).expect("it is read");
    assert_eq!(record.history.back().map(|event| event.kind.to_string()).as_deref(), Some("drained"));
    assert_eq!(String::from_utf8_lossy(&stored(&record)), text.trim_end());
    let origin = Origin { source: Source::Api, initiated_by: String::new() };
    record.apply(Change::Unpin { actor: "user1".into() }, &origin).expect("it is unpinned");
    assert!(String::from_utf8_lossy(&stored(&record)).contains("drained"));
}

/// What a newer release may add anywhere.
fn new() -> Value {
    json!({ "since": 7, "parts": [-1, 0.5, null, true, "ü"] })
}

fn add_to(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("new".into(), new());
    }
}

/// The record as a newer release has written it.
fn of_newer_release(record: &Record) -> Value {
    let mut text = serde_json::to_value(record).expect("it is JSON");
    add_to(&mut text);
    for part in ["canary", "file"] {
        add_to(&mut text[part]);
    }
    text["versions"].as_object_mut().into_iter().flatten().for_each(|(_, metadata)| add_to(metadata));
    text["history"].as_array_mut().into_iter().flatten().for_each(add_to);
    text
}

fn value(record: &Record) -> Value {
    serde_json::to_value(record).expect("it is JSON")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_field_that_this_release_does_not_know_survives_a_change(
        changes in vec(any_change(), 0..20), next in any_change(),
    ) {
        let mut record = record_with_a_file();
        changes.into_iter().for_each(|change| change_as_a_controller(&mut record, change));
        let newer = of_newer_release(&record);
        let read = read(newer.to_string().as_bytes());
        let mut read = read.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&value(&read), &newer);
        let canary = read.canary.clone();
        change_as_a_controller(&mut read, next);
        let after = value(&read);
        prop_assert_eq!(&after["new"], &new());
        prop_assert_eq!(&after["file"]["new"], &new());
        for (version, metadata) in &read.versions {
            let was_there = record.versions.contains_key(version);
            prop_assert_eq!(metadata.unknown != UnknownFields::default(), was_there, "{}", version);
        }
        let kept = newer["history"].as_array().into_iter().flatten();
        let kept = kept.filter(|event| after["history"].as_array().is_some_and(|all| all.contains(event)));
        prop_assert!(kept.count() + 1 >= record.history.len());
        if let (Some(before), Some(now)) = (canary, &read.canary)
            && before.version == now.version
        {
            prop_assert_eq!(&now.unknown, &before.unknown);
        }
    }
}
