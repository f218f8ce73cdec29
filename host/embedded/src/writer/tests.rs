//! What one transaction takes.

use bytes::Bytes;
use daca_base::shares::{SharedPool, Weights};
use daca_model::ActorAddress;
use daca_model::backend::{StateWrite, TurnCommit};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::queue::MAX_BATCH_BYTES;
use super::*;
use crate::database::create_database;
use crate::transaction::LastingParts;

/// A writer with a new file.
fn writer(folder: &TempDir) -> Writer {
    writer_within(folder, TypeUsage::default())
}

/// The same with what is known of the bytes of the types.
fn writer_within(folder: &TempDir, usage: TypeUsage) -> Writer {
    let path = folder.path().join("state.redb");
    create_database(&path).expect("a file");
    let (file, opened) = StateFile::open(&path).expect("it is there");
    let database = open_database(&path, opened).expect("it opens");
    let database = Arc::new(parking_lot::RwLock::new(Some(Arc::new(database))));
    Writer::new(Arc::new(file), database, (Quotas::new(), usage), Clock::of_process().clone())
}

/// A commit of so many bytes.
fn commit(id: &str, bytes: usize) -> CommitRequest {
    commit_of("A", id, bytes)
}

/// The same of an agent type.
fn commit_of(agent_type: &str, id: &str, bytes: usize) -> CommitRequest {
    let write = StateWrite::Set { value: Bytes::from(vec![b'1'; bytes]), ttl: None };
    let turn = LastingParts(Arc::new(TurnCommit {
        writes: [("k".to_owned(), write)].into(),
        ..TurnCommit::default()
    }));
    let places = SharedPool::new("commits", 1, &Weights::default());
    let (actor, done) = (ActorAddress::unchecked(agent_type, id), oneshot::channel().0);
    CommitRequest { actor, turn, bytes, done, _waits: places.charge("A", 1) }
}

#[test]
fn a_transaction_takes_commits_up_to_its_bytes_and_to_the_end() {
    let folder = TempDir::new().expect("a folder");
    let mut writer = writer(&folder);
    let (sender, requests) = mpsc::channel(8);
    let send = |request| assert!(sender.try_send(request).is_ok(), "there is room");
    for (id, bytes) in [("b", 1), ("c", MAX_BATCH_BYTES), ("d", 1), ("e", 1)] {
        send(Request::Commit(commit(id, bytes)));
    }
    send(Request::Close(oneshot::channel().0));
    send(Request::Commit(commit("f", 1)));
    let mut queue = Queue::new(requests, &Quotas::new());
    // What the writer has waited for.
    let mut first = Some(Next::Commit(commit("a", 1)));
    for expected in [2, 1, 2] {
        let mut batch = Batch::default();
        let Some(Next::Commit(first)) = first.take().or_else(|| queue.wait()) else { panic!("one waits") };
        batch.add(first);
        let results = writer.commit(&mut batch, &mut queue).expect("it is written");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!((results.len(), batch.requests.len()), (expected, expected));
    }
    assert!(queue.closes.is_some() && queue.wait().is_none(), "nothing comes after the end");
}

/// Writes values of so many bytes in one transaction. Tells of each whether it was kept. The error is that of all.
fn kept(writer: &mut Writer, turns: &[(&str, &str, usize)]) -> Result<Vec<bool>, Error> {
    let mut batch = Batch::default();
    turns.iter().for_each(|(agent_type, id, bytes)| batch.add(commit_of(agent_type, id, *bytes)));
    let results = writer.commit(&mut batch, &mut Queue::new(mpsc::channel(1).1, &Quotas::new()))?;
    Ok(results.iter().map(Result::is_ok).collect())
}

#[test]
fn the_types_share_what_there_is_on_disk_and_no_transaction_exceeds_it() {
    let folder = TempDir::new().expect("a folder");
    let weights = ["A", "B"].map(|name| (Arc::<str>::from(name), 1)).into_iter().collect::<Weights>();
    let shared = SharedPool::new("bytes on disk", 80_000, &weights);
    let mut writer = writer_within(&folder, TypeUsage::within(Some(shared.clone())));
    let mut kept = |turns: &[_]| kept(&mut writer, turns).expect("it is written");
    // The floor of each type is 10,000 bytes.
    assert_eq!(kept(&[("A", "1", 40_000), ("A", "2", 40_000), ("A", "3", 29_000)]), [true, false, true]);
    assert_eq!(kept(&[("A", "4", 1_000), ("B", "1", 9_000)]), [false, true]);
    assert_eq!(shared.uses()[0].held_back, 2);
    assert_eq!(kept(&[("A", "1", 40_000), ("A", "1", 10), ("A", "4", 1_000)]), [true; 3], "it makes room");
    // 64 bytes count for an entry, and one for its key.
    let used = [10 + 29_000 + 1_000 + 3 * 65, 9_000 + 65];
    assert_eq!(["A", "B"].map(|name| shared.used_by(name)), used);
}

/// Without it, nothing could be saved until a restart, and the host would look ready.
#[cfg(debug_assertions)]
#[test]
fn a_writer_that_panics_writes_again() {
    let folder = TempDir::new().expect("a folder");
    let mut writer = writer(&folder);
    writer.fail_points = FailPoints::panicking(FailPoint::AfterCommit);
    let file = writer.file.clone();
    let (sender, requests) = mpsc::channel(8);
    let running = std::thread::spawn(move || writer.run(requests));
    let send = |id: &str| {
        let (done, answer) = oneshot::channel();
        assert!(sender.try_send(Request::Commit(CommitRequest { done, ..commit(id, 1) })).is_ok());
        answer.blocking_recv()
    };
    assert!(send("a").is_err(), "nobody knows what became of it");
    assert!(send("b").is_ok_and(|(result, _)| result.is_ok()));
    assert!(!file.failed());
    drop(sender);
    running.join().expect("it ends");
}
