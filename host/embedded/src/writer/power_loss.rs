//! A loss of power: the disk has any part of the writes since the last sync, in units of sectors.
//!
//! Whatever was acknowledged must be in the file afterwards, and the file must open.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use daca_base::shares::{SharedPool, Weights};
use daca_model::ActorAddress;
use daca_model::backend::{Registration, StateWrite, TurnCommit, WakeupKey, WakeupKind};
use parking_lot::{Mutex, RwLock};
use redb::{ReadableDatabase, ReadableTable, StorageBackend};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::database::open_backend;
use crate::transaction::{LastingParts, STATE, USAGE, WAKEUPS, WakeupRow, entry_bytes};

/// The bytes that a disk writes completely or not at all.
const SECTOR: usize = 512;
/// The histories that are tried.
const SEEDS: u64 = 24;
/// The losses of power in each of them.
const LOSSES: usize = 5;
/// The writes after which the power is lost at the latest.
const MAX_WRITES: u64 = 160;

/// Reproducible numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A change that may be lost.
#[derive(Debug)]
enum Change {
    Length(usize),
    Sector(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(length) => bytes.resize(*length, 0),
            Change::Sector(at, sector) => {
                let end = at + sector.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at..end].copy_from_slice(sector);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Contents {
    /// What is read.
    bytes: Vec<u8>,
    /// What a loss of power cannot touch.
    synced: Vec<u8>,
    /// What was written since.
    changes: Vec<Change>,
    /// The writes and syncs that still succeed; any number if it is not set.
    left: Option<u64>,
}

impl Contents {
    fn write(&mut self, changes: Vec<Change>) -> io::Result<()> {
        self.spend()?;
        changes.iter().for_each(|change| change.apply(&mut self.bytes));
        self.changes.extend(changes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.spend()?;
        let Contents { synced, changes, .. } = self;
        changes.drain(..).for_each(|change| change.apply(synced));
        Ok(())
    }

    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the power is lost")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A disk whose power can be lost.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Contents>>);

impl Disk {
    /// Loses the power after so many writes and syncs.
    fn lose_power_after(&self, writes: u64) {
        self.0.lock().left = Some(writes);
    }

    fn has_power(&self) -> bool {
        self.0.lock().left != Some(0)
    }

    /// The disk as it is found after the loss.
    fn found_again(&self, random: &mut Random) -> Disk {
        let contents = self.0.lock();
        let mut bytes = contents.synced.clone();
        // From nothing of it to all of it.
        let kept = random.below(5);
        for change in &contents.changes {
            if random.below(4) < kept {
                change.apply(&mut bytes);
            }
        }
        let synced = bytes.clone();
        Disk(Arc::new(Mutex::new(Contents { bytes, synced, ..Contents::default() })))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.0.lock();
        let from = contents.bytes.get(offset as usize..).unwrap_or_default();
        let from = from.get(..out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().write(vec![Change::Length(len as usize)])
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut at, mut rest, mut changes) = (offset as usize, data, Vec::new());
        while !rest.is_empty() {
            let (sector, next) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            changes.push(Change::Sector(at, sector.to_vec()));
            (at, rest) = (at + sector.len(), next);
        }
        self.0.lock().write(changes)
    }
}

/// What the actors have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// The values by actor and key, each with its expiry before it. Effects that wait are such values.
    values: BTreeMap<(String, String), Vec<u8>>,
    /// The data of the reminders, by actor and name.
    reminders: BTreeMap<(String, String), Bytes>,
}

/// One history: commits, losses of power, and what must have come of them.
struct History<'a> {
    random: Random,
    disk: Disk,
    folder: &'a Path,
    acknowledged: State,
    /// What the file has if the commit that was never answered is in it.
    unanswered: Option<State>,
}

impl History<'_> {
    /// Commits until the power is lost.
    fn run(&mut self) {
        let writes = self.random.below(MAX_WRITES);
        self.disk.lose_power_after(writes);
        match open_backend(Path::new("disk"), self.disk.clone(), true) {
            Ok(database) => self.commit_to(database),
            Err(error) => assert!(!self.disk.has_power(), "the file does not open: {error}"),
        }
        self.disk = self.disk.found_again(&mut self.random);
    }

    fn commit_to(&mut self, database: Database) {
        self.check(&database);
        let (file, _) = StateFile::open(&self.folder.join("state.redb")).expect("a file for its name");
        let shared = Arc::new(RwLock::new(Some(Arc::new(database))));
        let clock = Clock::of_process().clone();
        let mut writer = Writer::new(Arc::new(file), shared.clone(), Default::default(), clock);
        loop {
            let (mut batch, after) = self.batch();
            match writer.commit(&mut batch, &mut Queue::new(mpsc::channel(1).1, &Quotas::new())) {
                Ok(_) => self.acknowledged = after,
                Err(error) => {
                    assert!(!self.disk.has_power(), "{error}");
                    self.unanswered = Some(after);
                    break;
                }
            }
        }
        drop(shared.write().take());
    }

    /// Turns of some actors, and the state that there is after them.
    fn batch(&mut self) -> (Batch, State) {
        let mut after = self.acknowledged.clone();
        let actors = 1 + self.random.below(3);
        let waiting = SharedPool::new("commits", 1, &Weights::default());
        let requests = (0..actors).map(|actor| {
            let id = format!("a{actor}");
            let writes = (0..1 + self.random.below(4)).map(|_| self.write(&id, &mut after)).collect();
            let wakeups = (0..self.random.below(3)).map(|_| self.reminder(&id, &mut after)).collect();
            let turn = LastingParts(Arc::new(TurnCommit { writes, wakeups, ..TurnCommit::default() }));
            CommitRequest {
                actor: ActorAddress::unchecked("A", &id),
                turn,
                bytes: 0,
                done: oneshot::channel().0,
                _waits: waiting.charge("A", 1),
            }
        });
        let mut batch = Batch::default();
        for request in requests {
            batch.add(request);
        }
        (batch, after)
    }

    fn write(&mut self, id: &str, after: &mut State) -> (String, StateWrite) {
        let key = format!("k{}", self.random.below(12));
        let place = (id.to_owned(), key.clone());
        if self.random.below(4) == 0 {
            after.values.remove(&place);
            return (key, StateWrite::Delete);
        }
        let value = vec![self.random.next() as u8; self.random.below(9_000) as usize];
        after.values.insert(place, [&[0; 8], &value[..]].concat());
        (key, StateWrite::Set { value: value.into(), ttl: None })
    }

    fn reminder(&mut self, id: &str, after: &mut State) -> (WakeupKey, Option<Registration>) {
        let name = format!("r{}", self.random.below(6));
        let place = (id.to_owned(), name.clone());
        let key = WakeupKey { kind: WakeupKind::Reminder, name };
        if self.random.below(4) == 0 {
            after.reminders.remove(&place);
            return (key, None);
        }
        let data = Bytes::from(vec![self.random.next() as u8; self.random.below(900) as usize]);
        after.reminders.insert(place, data.clone());
        (key, Some(Registration { due: Duration::from_secs(3_600), period: None, ttl: None, data }))
    }

    /// What was acknowledged is there. The commit that was not answered is there as a whole, or nothing of it.
    fn check(&mut self, database: &Database) {
        let Found { state: found, used, counted } = read(database).expect("the file can be read");
        let is_expected = found == self.acknowledged || self.unanswered.as_ref() == Some(&found);
        assert!(is_expected, "what was acknowledged is lost, or a commit is there in part");
        assert_eq!(used, counted, "the disk use of each actor");
        (self.acknowledged, self.unanswered) = (found, None);
    }
}

/// What a file has.
#[derive(Default)]
struct Found {
    state: State,
    /// The disk use of each actor, as the file says, and as its rows are.
    used: BTreeMap<String, u64>,
    counted: BTreeMap<String, u64>,
}

fn read(database: &Database) -> Result<Found, redb::Error> {
    let transaction = database.begin_read()?;
    let Found { mut state, mut used, mut counted } = Found::default();
    for row in transaction.open_table(STATE)?.iter()? {
        let (key, value) = row?;
        let (_, id, key) = key.value();
        *counted.entry(id.to_owned()).or_default() += entry_bytes(key, value.value().len() - 8);
        state.values.insert((id.to_owned(), key.to_owned()), value.value().to_vec());
    }
    for row in transaction.open_table(WAKEUPS)?.iter()? {
        let (key, row) = row?;
        let (_, _, id, name) = key.value();
        *counted.entry(id.to_owned()).or_default() += entry_bytes(name, row.value().len());
        let registration = WakeupRow::decode(row.value()).and_then(|row| row.into_registration(0));
        let (registration, _) = registration.expect("a registration is whole");
        state.reminders.insert((id.to_owned(), name.to_owned()), registration.data);
    }
    for row in transaction.open_table(USAGE)?.iter()? {
        let (owner, bytes) = row?;
        used.insert(owner.value().1.to_owned(), bytes.value());
    }
    Ok(Found { state, used, counted })
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_at_any_moment() {
    let folder = TempDir::new().expect("a folder");
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let disk = Disk::default();
        drop(open_backend(Path::new("disk"), disk.clone(), true).expect("a new file"));
        let (acknowledged, unanswered) = (State::default(), None);
        let random = Random(seed);
        let mut history = History { random, disk, folder: folder.path(), acknowledged, unanswered };
        for _ in 0..LOSSES {
            history.run();
        }
        let last = open_backend(Path::new("disk"), history.disk.clone(), true).expect("the file opens");
        history.check(&last);
    }
}

/// A test of the test: without syncs, something would be lost.
#[test]
fn a_disk_loses_what_was_not_synced() {
    let disk = Disk::default();
    let lost =
        |disk: &Disk| (0..20).any(|seed| disk.found_again(&mut Random(seed)).0.lock().bytes != [1; 2_000]);
    disk.write(0, &[1; 2_000]).expect("it has power");
    assert!(lost(&disk));
    disk.sync_data().expect("it has power");
    assert!(!lost(&disk));
    disk.lose_power_after(0);
    assert!(disk.write(0, &[2]).is_err() && !disk.has_power());
}
