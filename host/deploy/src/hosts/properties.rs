//! The entries of the hosts: as they are written and read, and as another program or a damaged store has them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn lines() -> impl Strategy<Value = Lines> {
    let serving = btree_map(".{0,12}", "[0-9a-f]{0,64}", 0..3);
    let line = (serving, any::<u64>()).prop_map(|(serving, at)| Line { serving, at });
    btree_map(".{0,20}", line, 0..4)
}

fn stored(lines: &Lines) -> Result<bytes::Bytes, TestCaseError> {
    stored_json(lines).map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #[test]
    fn entries_are_read_as_they_were_written(lines in lines()) {
        prop_assert_eq!(entries(&stored(&lines)?), lines);
    }

    #[test]
    fn a_damaged_value_has_no_entries_rather_than_some(lines in lines(), place in any::<Index>()) {
        let value = stored(&lines)?;
        prop_assert_eq!(entries(&value[..place.index(value.len())]), Lines::new());
    }

    /// Whatever the store has, a host can add its own entry.
    #[test]
    fn an_entry_can_be_written_over_any_bytes(bytes in vec(any::<u8>(), 0..200), line in lines()) {
        let mut all = entries(&bytes);
        all.extend(line);
        prop_assert_eq!(entries(&stored(&all)?), all);
    }
}
