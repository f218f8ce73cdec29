use std::time::Duration;

use daca_base::archive::FrameSink;
use daca_base::clock::Clock;
use daca_model::ActorAddress;
use daca_model::backend::{EFFECTS, Registration, StateWrite, TurnCommit, WakeupKey, WakeupKind};
use daca_model::backup::{FrameKind, StateSnapshot as _};
use redb::{Key, ReadTransaction, TableDefinition, Value};
use tempfile::TempDir;

use super::*;
use crate::store::Store;
use crate::transaction::{EXPIRIES, Quotas, STATE, WAKEUPS};

/// The frames of a backup.
#[derive(Default)]
struct Frames(Vec<(u8, Vec<u8>)>);

impl FrameSink for Frames {
    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> std::io::Result<()> {
        self.0.push((kind, parts.concat()));
        Ok(())
    }
}

fn open(folder: &TempDir) -> Store {
    let opened = Store::open(folder.path(), Quotas::new(), None, Clock::of_process().clone());
    opened.expect("the file opens").0
}

/// What an actor keeps in its turn of this number: values with and without an expiry, a removal, a reminder, a timer, and
/// effects with the host's reminder, which are not counted as its disk use.
fn turn(number: u64) -> (ActorAddress, TurnCommit) {
    let set = |ttl: Option<u64>| StateWrite::Set {
        value: vec![number as u8; number as usize * 100].into(),
        ttl: ttl.map(Duration::from_secs),
    };
    let registration = Registration {
        due: Duration::from_secs(3_600),
        period: Some(Duration::from_secs(60)),
        ttl: None,
        data: "data".into(),
    };
    let wakeup = |kind, name: &str| WakeupKey { kind, name: name.to_owned() };
    let commit = TurnCommit {
        writes: [
            (format!("key {}", number % 3), set(None)),
            (format!("expires {}", number % 2), set(Some(3_600))),
            (format!("key {}", (number + 1) % 3), StateWrite::Delete),
            (EFFECTS.to_owned(), set(None)),
        ]
        .into(),
        wakeups: [
            (wakeup(WakeupKind::Reminder, "r"), Some(registration.clone())),
            (wakeup(WakeupKind::Reminder, EFFECTS), Some(registration.clone())),
            (wakeup(WakeupKind::Timer, "t"), (!number.is_multiple_of(2)).then_some(registration)),
        ]
        .into(),
        ..TurnCommit::default()
    };
    (ActorAddress::unchecked("A", &format!("ü{}", number % 4)), commit)
}

fn rows<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Vec<String>, redb::Error> {
    let mut rows = Vec::new();
    for row in transaction.open_table(table)?.iter()? {
        let (key, value) = row?;
        rows.push(format!("{:?}: {:?}", key.value(), value.value()));
    }
    Ok(rows)
}

/// Everything in a file.
async fn content(store: &Store) -> [Vec<String>; 4] {
    let content = store.with_database(|database| {
        let transaction = database.begin_read()?;
        let (state, expiries) = (rows(&transaction, STATE)?, rows(&transaction, EXPIRIES)?);
        Ok([state, expiries, rows(&transaction, WAKEUPS)?, rows(&transaction, USAGE)?])
    });
    content.await.expect("the file can be read")
}

#[tokio::test]
async fn a_restored_file_is_what_was_committed_before_the_backup_with_its_indexes() {
    let (from, to) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let store = open(&from);
    for number in 0..20 {
        let (actor, commit) = turn(number);
        store.commit(&actor, &commit.into()).await.expect("a commit");
    }
    let expected = content(&store).await;
    let snapshot = store.snapshot().await.expect("a snapshot");
    for number in 100..120 {
        let (actor, commit) = turn(number);
        store.commit(&actor, &commit.into()).await.expect("a later commit");
    }
    let mut frames = Frames::default();
    snapshot.write(&mut frames).expect("the frames");
    let mut restore = StateRestore::create(to.path()).expect("a new file");
    for (kind, bytes) in frames.0 {
        let added = match FrameKind::of(kind) {
            Some(FrameKind::State) => restore.add_state(bytes),
            Some(FrameKind::Wakeup) => restore.add_wakeup(bytes),
            other => panic!("{other:?}"),
        };
        added.expect("a row");
    }
    let restored = restore.finish().expect("the rest");
    let [state, expiries, wakeups, _] = &expected;
    assert!(!expiries.is_empty());
    let counts = (restored.actors, restored.values, restored.wakeups);
    assert_eq!(counts, (4, state.len() as u64, wakeups.len() as u64));
    assert_eq!(content(&open(&to)).await, expected);
}

#[test]
fn a_row_that_no_host_has_written_or_that_is_there_twice_is_refused() {
    let mut row = Vec::new();
    for name in ["A", "a", "key"] {
        daca_model::backup::put_text(&mut row, name);
    }
    row.extend([0; EXPIRY_BYTES]);
    let restore = |rows: &[&[u8]]| {
        let folder = TempDir::new().expect("a folder");
        let mut restore = StateRestore::create(folder.path()).expect("a new file");
        for row in rows {
            restore.add_state(row.to_vec())?;
        }
        restore.finish()
    };
    assert_eq!(restore(&[&row[..]]).expect("it is whole").values, 1);
    for rows in [&[&row[..], &row[..]][..], &[&row[..row.len() - 1]], &[&row[1..]], &[&b""[..]]] {
        assert!(matches!(restore(rows), Err(RestoreError::Row(_))), "{rows:?}");
    }
}
