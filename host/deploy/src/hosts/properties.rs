//! The entries of the hosts: as they are written and read, and as another program or a damaged store has them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn lines() -> impl Strategy<Value = Lines> {
    let serving = btree_map(".{0,12}", "[0-9a-f]{0,64}", 0..3);
    let line = (serving, any::<u64>()).prop_map(|(serving, at)| Line {
        serving,
        at,
        unknown: UnknownFields::default(),
    });
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
        prop_assert_eq!(entries(&value.slice(..place.index(value.len()))), Lines::new());
    }

    /// Whatever the store has, a host can add its own entry.
    #[test]
    fn an_entry_can_be_written_over_any_bytes(bytes in vec(any::<u8>(), 0..200), line in lines()) {
        let mut all = entries(&bytes.into());
        all.extend(line);
        prop_assert_eq!(entries(&stored(&all)?), all);
    }
}

/// Each host writes all entries again.
#[test]
fn what_a_newer_host_adds_to_its_entry_survives_a_rewrite_and_an_unreadable_entry_spoils_no_other()
-> Result<(), TestCaseError> {
    let newer =
        r#"{"new":{"serving":{},"at":1,"load":[0.5,"x"]},"strange":[1],"old":{"serving":{"A":"1f"},"at":2}}"#;
    let read = entries(&newer.into());
    assert_eq!(read.keys().collect::<Vec<_>>(), ["new", "old"]);
    let again = Document::parse(&stored(&read)?).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let load = again.field("new").and_then(|entry| entry.field("load"));
    assert_eq!(load.map(|load| load.to_string()).as_deref(), Some(r#"[0.5,"x"]"#));
    assert_eq!(entries(&stored(&read)?), read);
    Ok(())
}

/// Others can write the store, too.
#[test]
fn an_entry_that_is_old_or_of_a_time_to_come_is_no_host() -> Result<(), TestCaseError> {
    const NOW: u64 = 1_000_000_000;
    let (timeout, ahead) = (millis(HOST_TIMEOUT), millis(MAX_AHEAD));
    for (at, is_there) in [
        (NOW, true),
        (NOW - timeout + 1, true),
        (NOW - timeout, false),
        (NOW + ahead, true),
        (NOW + ahead + 1, false),
        (u64::MAX, false),
    ] {
        let line = Line { serving: BTreeMap::new(), at, unknown: UnknownFields::default() };
        let lines = Lines::from([("other".to_owned(), line)]);
        prop_assert_eq!(!present_entries(&stored(&lines)?, NOW).is_empty(), is_there, "{}", at);
    }
    Ok(())
}
