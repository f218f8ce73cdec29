//! Records of any content, written and read.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::stored_json;

type Record = BTreeMap<String, (String, u64, Option<bool>, Vec<u8>)>;

fn records() -> impl Strategy<Value = Record> {
    btree_map(".{0,20}", (".{0,40}", any::<u64>(), any::<Option<bool>>(), vec(any::<u8>(), 0..20)), 0..8)
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in records()) {
        let stored = stored_json(&record).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = daca_base::json::read::<Record>(&stored);
        prop_assert_eq!(read.ok(), Some(record));
    }
}
