//! The record of a schema: as it is written and read, and as it is damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use daca_base::json::UnknownFields;
use daca_model::backend::Error;

use super::{read_label, read_record, record_of};

proptest! {
    #[test]
    fn a_label_is_read_as_it_was_written(label in ".{1,64}", version in "[0-9a-f]{64}") {
        let read = read_label(&record_of(&label, &version, &UnknownFields::default())).ok();
        prop_assert_eq!(read.as_deref(), Some(&*label));
    }

    /// A wrong label would have a version migrate state that it already wrote.
    #[test]
    fn a_record_that_was_cut_off_has_no_label(label in ".{1,64}", place in any::<Index>()) {
        let record = record_of(&label, "3f2a91bc0d1e", &UnknownFields::default());
        prop_assert!(read_label(&record[..place.index(record.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_label(bytes in vec(any::<u8>(), 0..100)) {
        read_label(&bytes).ok(); // only a panic would be an error here
    }
}

#[test]
fn the_record_of_the_release_before_is_read_and_written_as_it_was() {
    let text = include_str!("../../../tests/stored/ec781bc/version.json").trim_end();
    assert_eq!(read_label(text.as_bytes()).ok().as_deref(), Some("2"));
    let version = "fb04dcb6970e4c3d1873de51fd5a50d7bb46b3383113602665c350ec40b5f990";
    assert_eq!(record_of("2", version, &UnknownFields::default()), text);
}

#[test]
fn what_a_newer_release_adds_to_a_record_is_kept_and_a_newer_format_is_refused() {
    let record = read_record(br#"{"label":"2","version":"v","since":[7]}"#).ok();
    let unknown = record.map(|record| record.unknown).unwrap_or_default();
    assert_eq!(record_of("3", "w", &unknown), r#"{"label":"3","version":"w","since":[7]}"#);
    assert!(matches!(read_label(br#"{"format":2,"label":["2"]}"#), Err(Error::TooNew(_))));
}
