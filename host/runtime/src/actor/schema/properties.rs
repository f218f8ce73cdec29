//! The record of a schema: as it is written and read, and as it is damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{read_label, record_of};

proptest! {
    #[test]
    fn a_label_is_read_as_it_was_written(label in ".{1,64}", version in "[0-9a-f]{64}") {
        let read = read_label(&record_of(&label, &version)).ok();
        prop_assert_eq!(read.as_deref(), Some(&*label));
    }

    /// A wrong label would have a version migrate state that it already wrote.
    #[test]
    fn a_record_that_was_cut_off_has_no_label(label in ".{1,64}", place in any::<Index>()) {
        let record = record_of(&label, "3f2a91bc0d1e");
        prop_assert!(read_label(&record[..place.index(record.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_label(bytes in vec(any::<u8>(), 0..100)) {
        read_label(&bytes).ok(); // only a panic would be an error here
    }
}
