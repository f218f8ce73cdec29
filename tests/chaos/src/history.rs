//! What happened, in one file with a JSON object a line: what was asked and answered, and what was done to the servers. The
//! checker reads nothing else of the run.
//!
//! Enums are written with their name outside: the JSON library of this workspace reads numbers in other forms badly.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Server};
use crate::wire::{Entry, Order};

/// More are not kept, and the run fails: its checker would know only half of it.
const MAX_RECORDS: usize = 2_000_000;
/// Of a text from a server.
const MAX_TEXT: usize = 300;

/// Something that happened, so many milliseconds after the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) ms: u64,
    pub(crate) what: HistoryEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HistoryEvent {
    Began {
        seed: u64,
        hosts: usize,
        /// Of Dapr, as its sidecar says.
        release: String,
    },
    Asked(Asked),
    /// One try of a call did not succeed.
    Tried {
        op: String,
        over: String,
        said: String,
    },
    Answered {
        op: String,
        outcome: Outcome,
    },
    /// An entry that was acknowledged was looked for over a host.
    Looked {
        op: String,
        over: String,
        /// The host of the actor, as it says.
        by: String,
        shows: bool,
    },
    Applied(Fault),
    Healed(Fault),
    Started(Server),
    /// It has ended by itself.
    Ended {
        server: Server,
        status: String,
    },
    Ready {
        host: usize,
        is_ready: bool,
    },
    Swapped {
        over: String,
        said: String,
    },
    /// Work takes so much of the time that it would take on an idle machine.
    Slow {
        percent: u32,
    },
}

/// What was asked of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) actor: String,
    /// Its place among those of the same caller.
    pub(crate) sequence: u64,
    pub(crate) way: Way,
    pub(crate) order: Order,
}

/// How something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// With a key, and again and again until it is acknowledged.
    Keyed,
    /// Once.
    Keyless,
    /// By a message of Kafka, once.
    Kafka,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was acknowledged; a call with its entry, unless its answer was forgotten.
    Kept(Option<Entry>),
    /// It is certain that nothing was kept: the answer says so, or nothing was sent.
    Refused(String),
    /// The answer says that it may have been kept.
    Unknown(String),
    /// There was no answer.
    Unanswered(String),
}

/// The file, while it is written.
#[derive(Debug)]
pub(crate) struct History {
    start: Instant,
    /// The same by the clock of this machine, in milliseconds since 1970.
    start_unix_ms: u64,
    path: PathBuf,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    records: usize,
    /// Why something is missing.
    fault: Option<String>,
}

impl History {
    /// Begins one in a new file.
    pub(crate) fn create(path: &Path) -> anyhow::Result<History> {
        let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
        let written = Mutex::new(Written { file: BufWriter::new(file), records: 0, fault: None });
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock of this machine")?;
        let start_unix_ms = u64::try_from(unix.as_millis())?;
        Ok(History { start: Instant::now(), start_unix_ms, path: path.to_owned(), written })
    }

    /// Writes down what happens now. What goes wrong is for [`History::read`] to say.
    pub(crate) fn note(&self, what: HistoryEvent) {
        let mut written = self.written.lock();
        let record = Record { ms: self.now_ms(), what };
        if written.fault.is_none()
            && let Err(error) = written.write(&record)
        {
            written.fault = Some(format!("{error:#}"));
        }
    }

    /// The milliseconds since the beginning.
    pub(crate) fn now_ms(&self) -> u64 {
        self.ms_of(Instant::now())
    }

    /// Those of a moment.
    pub(crate) fn ms_of(&self, moment: Instant) -> u64 {
        let passed = moment.saturating_duration_since(self.start);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Those of a time of this machine's clock, by which the servers go, in milliseconds since 1970.
    pub(crate) fn ms_of_unix(&self, unix_ms: u64) -> u64 {
        unix_ms.saturating_sub(self.start_unix_ms)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All that was written down.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Record>> {
        let mut written = self.written.lock();
        written.file.flush()?;
        if let Some(fault) = &written.fault {
            bail!("the history is not complete: {fault}");
        }
        let lines = BufReader::new(File::open(&self.path)?).lines();
        lines.map(|line| serde_json::from_str(&line?).context("a line of the history")).collect()
    }
}

impl Written {
    fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        self.records += 1;
        anyhow::ensure!(self.records <= MAX_RECORDS, "it has {MAX_RECORDS} lines, and no room for more");
        serde_json::to_writer(&mut self.file, record)?;
        Ok(self.file.write_all(b"\n")?)
    }
}

/// The beginning of a text that a server has sent.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Link, Trouble};

    #[test]
    fn what_is_written_is_read_again() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let history = History::create(&folder.path().join("history.jsonl"))?;
        let entry = Entry {
            position: 3,
            op: "a".into(),
            kind: "call".into(),
            host: "host1".into(),
            instance: "i".into(),
        };
        let order = Order { op: "a".into(), remind_ms: Some(500), ..Order::default() };
        let asked = Asked { actor: "actor-1".into(), sequence: 4, way: Way::Keyed, order };
        let all = [
            HistoryEvent::Began { seed: 1, hosts: 2, release: "1.16.2".into() },
            HistoryEvent::Asked(asked),
            HistoryEvent::Answered { op: "a".into(), outcome: Outcome::Kept(Some(entry)) },
            HistoryEvent::Applied(Fault::Clock(1, -3600)),
            HistoryEvent::Healed(Fault::Link(Link::SidecarToRedis(0), Trouble::HalfOpen)),
            HistoryEvent::Ended { server: Server::Kafka, status: "1".into() },
            HistoryEvent::Ready { host: 0, is_ready: true },
        ];
        for what in &all {
            history.note(what.clone());
        }
        let read = history.read()?;
        assert_eq!(
            read.iter().map(|record| &record.what).collect::<Vec<_>>(),
            all.iter().collect::<Vec<_>>()
        );
        assert!(read.is_sorted_by_key(|record| record.ms));
        Ok(())
    }
}
