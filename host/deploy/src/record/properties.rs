//! Properties of a record after any changes, and of its reader for any bytes.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::apply::MAX_HISTORY;
use super::*;
use daca_base::digest::digest;

/// The versions that a record keeps in these tests.
const KEEP: usize = 3;
const LABELS: [&str; 3] = ["1", "2", "3"];
const ACTORS: [&str; 3] = ["a", "b", "c"];

/// The same cases in each run.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn version() -> impl Strategy<Value = String> {
    (0..6_u8).prop_map(name)
}

fn name(number: u8) -> String {
    digest(&[number])
}

/// It belongs to the bytes of a version whether it has a migration.
fn has_migration(version: &str) -> bool {
    version == name(4) || version == name(5)
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    let label = || select(LABELS.to_vec()).prop_map(str::to_owned);
    let actor = || select(ACTORS.to_vec()).prop_map(str::to_owned);
    let share = prop_oneof![Just(100_u8), 1..=99_u8];
    prop_oneof![
        4 => (version(), label(), share).prop_map(|(version, label, share)| {
            let migrates = has_migration(&version);
            Change::Deploy { version, label, bytes: 1, migrates, share, file: None }
        }),
        2 => (any::<bool>(), option::of(version())).prop_map(|(force, only)| {
            Change::RollBack { force, text: String::new(), only }
        }),
        1 => (actor(), version()).prop_map(|(actor, version)| Change::Pin { actor, version }),
        1 => actor().prop_map(|actor| Change::Unpin { actor }),
        1 => version().prop_map(|version| {
            Change::Refuse { version, code: daca_base::ErrorCode::TrialFailed, text: "it failed".into() }
        }),
    ]
}

fn origin() -> Origin {
    Origin { source: Source::Api, initiated_by: "tester".into() }
}

fn first() -> Record {
    let metadata = VersionMetadata {
        label: "1".into(),
        bytes: 1,
        deployed_at: now(),
        source: Source::Manifest.into(),
        initiated_by: "agent.wasm".into(),
        migrates: false,
        last_revision: 1,
        file: None,
        unknown: UnknownFields::default(),
    };
    Record::first(name(0), metadata, None, &origin())
}

/// A first record that has seen the manifest's file.
pub(super) fn record_with_a_file() -> Record {
    Record { file: Some(FileSeen::new(&name(1))), ..first() }
}

/// Applies a change as a deployment controller does, and checks the outcome that it reports.
pub(super) fn change_as_a_controller(record: &mut Record, change: Change) {
    // A controller refuses to pin an actor to a version that it cannot load.
    if matches!(&change, Change::Pin { version, .. } if !record.versions.contains_key(version)) {
        return;
    }
    let before = record.clone();
    let Ok(outcome) = record.apply(change, &origin()) else {
        assert_eq!(*record, before, "a change that fails changes nothing");
        return;
    };
    let is_silent = matches!(outcome.outcome, EventKind::Unchanged | EventKind::Refused);
    assert_eq!(record.revision, before.revision + u64::from(!is_silent), "{outcome:?}");
    if let EventKind::Deployed | EventKind::Promoted | EventKind::Canary = outcome.outcome {
        let label = record.label(&outcome.version);
        let readable = record.check_schema(label, has_migration(&outcome.version));
        assert_eq!(readable, Ok(()), "a deployed version can read the state that there is");
    }
    record.prune(KEEP);
}

fn check(record: &Record) {
    let Record { serving, previous, canary, versions, .. } = record;
    for version in record.in_use().iter().chain(previous) {
        assert!(versions.contains_key(version), "{version} is known");
    }
    if let Some(canary) = canary {
        assert!(canary.version != *serving && (1..=99).contains(&canary.share), "{canary:?}");
    }
    let distinct = previous.iter().chain([serving]).collect::<BTreeSet<_>>();
    assert_eq!(distinct.len(), previous.len() + 1, "a rollback leads to another version each time");
    let mut needed = record.in_use();
    needed.extend(record.previous_version().cloned());
    assert!(versions.len() <= KEEP.max(needed.len()), "no more versions are kept than may be");
    assert!(record.history.len() <= MAX_HISTORY);
    assert!(
        record.schemas.is_empty() || record.first_label.is_some(),
        "state is looked at before it is used"
    );
}

pub(super) fn json(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record can be written")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_changes_leave_a_record_that_can_serve(changes in vec(any_change(), 0..80)) {
        let mut record = first();
        for change in changes {
            change_as_a_controller(&mut record, change);
            check(&record);
        }
    }

    #[test]
    fn what_is_written_is_read_back_equal(changes in vec(any_change(), 0..30), seen in option::of(any::<bool>())) {
        let mut record = first();
        changes.into_iter().for_each(|change| change_as_a_controller(&mut record, change));
        record.file = seen.map(|refused| FileSeen { refused, ..FileSeen::new(&name(1)) });
        prop_assert_eq!(read(&json(&record)), Ok(record.clone()));
        let local = LocalRecord { file_here: seen.map(|_| name(1)), record: Arc::new(record) };
        let text = serde_json::to_vec_pretty(&local).expect("it can be written");
        let again = read_local(&text).expect("it is read back");
        prop_assert_eq!((again.file_here, again.record), (local.file_here, local.record));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
        crate::shared::read_stored(&bytes);
        read_local(&bytes).ok();
    }

    #[test]
    fn no_change_of_a_written_record_makes_the_reader_panic(
        changes in vec(any_change(), 0..10),
        edits in vec((any::<prop::sample::Index>(), select(b"\"\\{}[],:019-e \x00\xff".to_vec())), 1..6),
        end in option::of(any::<prop::sample::Index>()),
    ) {
        let mut record = first();
        changes.into_iter().for_each(|change| change_as_a_controller(&mut record, change));
        let mut text = json(&record);
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text.truncate(end.map_or(text.len(), |end| end.index(text.len())));
        crate::shared::read_stored(&text);
        read_local(&text).ok();
    }

    /// Whoever writes a record may have written any number into it.
    #[test]
    fn a_record_of_any_revision_is_refused_or_can_be_changed(
        revision in prop_oneof![any::<u64>(), MAX_REVISIONS - 2..=MAX_REVISIONS + 1],
        changes in vec(any_change(), 1..5),
    ) {
        let record = Record { revision, ..first() };
        prop_assert_eq!(read(&json(&record)).is_ok(), revision <= MAX_REVISIONS);
        let local = LocalRecord { file_here: None, record: Arc::new(record) };
        let local = read_local(&serde_json::to_vec(&local).expect("it can be written"));
        prop_assert_eq!(local.is_ok(), revision <= MAX_REVISIONS);
        if let Ok(local) = local {
            let mut record = Arc::unwrap_or_clone(local.record);
            changes.into_iter().for_each(|change| change_as_a_controller(&mut record, change));
            prop_assert_eq!(read(&json(&record)), Ok(record));
        }
    }

    #[test]
    fn a_newer_format_is_never_taken_for_a_known_one(format in (FORMAT + 1)..=u32::MAX, changes in vec(any_change(), 0..5)) {
        let mut record = first();
        changes.into_iter().for_each(|change| change_as_a_controller(&mut record, change));
        record.format = format;
        prop_assert_eq!(read(&json(&record)), Err(ReadError::TooNew(format)));
    }
}
