//! The entries of the hosts: as they are written and read, and as another program or a damaged store has them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const HOSTS: HostEntries = HostEntries { key: "hosts", timeout: Duration::from_secs(20) };

/// What a host says in these tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Serves {
    serving: BTreeMap<String, String>,
}

fn entry(serving: BTreeMap<String, String>, at: u64) -> HostEntry<Serves> {
    HostEntry { says: Serves { serving }, at, unknown: UnknownFields::default() }
}

fn any_entries() -> impl Strategy<Value = Entries<Serves>> {
    let serving = btree_map(".{0,12}", "[0-9a-f]{0,64}", 0..3);
    let entry = (serving, any::<u64>()).prop_map(|(serving, at)| entry(serving, at));
    btree_map(".{0,20}", entry, 0..4)
}

fn read(value: &Bytes) -> Entries<Serves> {
    HOSTS.entries(value)
}

fn stored(entries: &Entries<Serves>) -> Result<Bytes, TestCaseError> {
    stored_json(entries).map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #[test]
    fn entries_are_read_as_they_were_written(entries in any_entries()) {
        prop_assert_eq!(read(&stored(&entries)?), entries);
    }

    #[test]
    fn a_damaged_value_has_no_entries_rather_than_some(entries in any_entries(), place in any::<Index>()) {
        let value = stored(&entries)?;
        prop_assert_eq!(read(&value.slice(..place.index(value.len()))), Entries::new());
    }

    /// Whatever the store has, a host can add its own entry.
    #[test]
    fn an_entry_can_be_written_over_any_bytes(bytes in vec(any::<u8>(), 0..200), entries in any_entries()) {
        let mut all = read(&bytes.into());
        all.extend(entries);
        prop_assert_eq!(read(&stored(&all)?), all);
    }
}

#[test]
fn what_a_newer_host_adds_to_its_entry_survives_a_rewrite_and_an_unreadable_entry_spoils_no_other()
-> Result<(), TestCaseError> {
    let newer =
        r#"{"new":{"serving":{},"at":1,"load":[0.5,"x"]},"strange":[1],"old":{"serving":{"A":"1f"},"at":2}}"#;
    let all = read(&newer.into());
    assert_eq!(all.keys().collect::<Vec<_>>(), ["new", "old"]);
    let again = Document::parse(&stored(&all)?).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let load = again.field("new").and_then(|entry| entry.field("load"));
    assert_eq!(load.map(|load| load.to_string()).as_deref(), Some(r#"[0.5,"x"]"#));
    assert_eq!(read(&stored(&all)?), all);
    Ok(())
}

/// Others can write the store, too.
#[test]
fn an_entry_that_is_old_or_of_a_time_to_come_is_no_host() -> Result<(), TestCaseError> {
    const NOW: u64 = 1_000_000_000;
    let (timeout, ahead) = (millis(HOSTS.timeout), millis(MAX_AHEAD));
    for (at, is_there) in [
        (NOW, true),
        (NOW - timeout + 1, true),
        (NOW - timeout, false),
        (NOW + ahead, true),
        (NOW + ahead + 1, false),
        (u64::MAX, false),
    ] {
        let entries = Entries::from([("other".to_owned(), entry(BTreeMap::new(), at))]);
        let present = HOSTS.present::<Serves>(&stored(&entries)?, NOW);
        prop_assert_eq!(!present.is_empty(), is_there, "{}", at);
    }
    Ok(())
}
