//! Rows of the file: as they are written and read, and as no host has written them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

fn registrations() -> impl Strategy<Value = Registration> {
    let time = || any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()));
    let parts = (time(), option::of(time()), option::of(time()), vec(any::<u8>(), 0..50));
    parts.prop_map(|(due, period, ttl, data)| Registration { due, period, ttl, data: data.into() })
}

/// Rows of the right form with any numbers, such as after the clock was set.
fn rows() -> impl Strategy<Value = WakeupRow> {
    let times = (any::<u64>(), any::<u64>(), option::of(any::<u64>()));
    let lengths = (any::<u64>(), option::of(any::<u64>()), option::of(any::<u64>()));
    (times, lengths, any::<u64>(), ".{0,20}").prop_map(|(times, lengths, sequence, data)| {
        let (registered_unix_ms, next_unix_ms, ends_unix_ms) = times;
        let (due_ms, period_ms, ttl_ms) = lengths;
        WakeupRow {
            registered_unix_ms,
            sequence,
            next_unix_ms,
            ends_unix_ms,
            due_ms,
            period_ms,
            ttl_ms,
            data,
            unknown: UnknownFields::default(),
        }
    })
}

/// Any bytes, and rows with one byte changed.
fn values() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (rows(), any::<Index>(), any::<u8>()).prop_map(|(row, place, byte)| {
        let mut bytes = row.encode().expect("a row can be written");
        let place = place.index(bytes.len());
        bytes[place] = byte;
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..64), damaged]
}

proptest! {
    #[test]
    fn a_registration_is_read_as_it_was_written(
        registration in registrations(),
        now in 0..1_u64 << 42,
        sequence in any::<u64>(),
    ) {
        let row = WakeupRow::new(&registration, now, sequence);
        let read = WakeupRow::decode(&row.encode().map_err(failed)?).map_err(failed)?;
        prop_assert_eq!(&read, &row);
        let (read, due) = read.into_registration(now).map_err(failed)?;
        prop_assert_eq!(read, registration);
        prop_assert_eq!(due.at, row.next_unix_ms);
    }

    #[test]
    fn a_periodic_row_fires_later_after_each_firing_or_ends(row in rows(), now in any::<u64>()) {
        if let Some(next) = row.after_firing(now) {
            prop_assert!(next.next_unix_ms > now || next.next_unix_ms == u64::MAX);
        }
    }

    #[test]
    fn bytes_that_no_host_has_written_are_an_error_or_a_row_with_a_time(bytes in values(), now in any::<u64>()) {
        if let Ok(row) = WakeupRow::decode(&bytes) {
            prop_assert!(row.due(now).at <= row.next_unix_ms);
            row.into_registration(now).ok(); // only a panic would be an error here
        }
        if let Some(value) = decode_value(&bytes, now) {
            prop_assert_eq!(&value.value[..], &bytes[8..]);
        }
    }
}
