//! The last lines of the log, in memory, for the admin API.
//!
//! One bound applies to everything: a follower only has the number of its next line, and a line that was dropped before
//! it was read is counted, not kept. The agent type with the most bytes makes room: one that logs without end does not
//! drive out the lines of the others.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

/// The maximum bytes that are kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The overhead of a line in bytes.
const LINE_OVERHEAD: usize = 120;
/// The agent types that are told apart: a host has few, and what a line says of them is not checked.
const MAX_TYPES: usize = 1_000;
/// How a line in JSON names its agent type. Within a text, its quotation marks are escaped.
const AGENT_TYPE: &str = "\"agent_type\":\"";

/// The last lines, in the JSON format. A cheap handle.
#[derive(Clone)]
pub struct RecentLines {
    shared: Arc<Shared>,
}

struct Shared {
    ring: Mutex<Ring>,
    /// Wakes the readers.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Ring {
    /// By number.
    lines: BTreeMap<u64, Arc<str>>,
    /// Those of each agent type; those without one have the empty name.
    of_types: BTreeMap<Arc<str>, OfType>,
    bytes: usize,
    /// The number of the next line.
    next: u64,
}

/// The lines of one agent type.
#[derive(Default)]
struct OfType {
    numbers: VecDeque<u64>,
    bytes: usize,
}

/// A reader of the lines in order, from the oldest on.
pub struct LineReader {
    recent: RecentLines,
    next: u64,
    changed: watch::Receiver<()>,
}

/// Lines that were read together.
pub struct Batch {
    /// The lines, without line ends.
    pub lines: Vec<Arc<str>>,
    /// The number of lines before them that were dropped before this reader saw them.
    pub missed: u64,
}

impl RecentLines {
    pub(super) fn new() -> RecentLines {
        RecentLines { shared: Arc::new(Shared { ring: Mutex::default(), changed: watch::Sender::new(()) }) }
    }

    /// A reader that starts with the oldest line.
    pub fn reader(&self) -> LineReader {
        let changed = self.shared.changed.subscribe();
        let next = self.shared.lock().first();
        LineReader { recent: self.clone(), next, changed }
    }

    fn push(&self, line: &str) {
        self.shared.lock().push(line, MAX_BYTES);
        self.shared.changed.send_replace(());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }
}

impl Ring {
    /// The number of the oldest kept line.
    fn first(&self) -> u64 {
        self.lines.first_key_value().map_or(self.next, |(number, _)| *number)
    }

    fn push(&mut self, line: &str, most_bytes: usize) {
        let (number, bytes) = (self.next, line.len() + LINE_OVERHEAD);
        self.next += 1;
        self.lines.insert(number, line.into());
        let named = agent_type(line)
            .filter(|name| self.of_types.contains_key(*name) || self.of_types.len() < MAX_TYPES);
        let of_type = self.of_types.entry(named.unwrap_or_default().into()).or_default();
        of_type.numbers.push_back(number);
        of_type.bytes += bytes;
        self.bytes += bytes;
        while self.bytes > most_bytes {
            self.drop_one();
        }
    }

    /// Drops the oldest line of the type with the most bytes.
    fn drop_one(&mut self) {
        let Some(largest) = self.of_types.values_mut().max_by_key(|of_type| of_type.bytes) else { return };
        let Some(number) = largest.numbers.pop_front() else { return };
        let bytes = self.lines.remove(&number).map_or(0, |line| line.len() + LINE_OVERHEAD);
        largest.bytes = largest.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn since(&self, next: u64) -> Batch {
        let lines = self.lines.range(next..).map(|(_, line)| line.clone()).collect::<Vec<_>>();
        let missed = self.next.saturating_sub(next).saturating_sub(lines.len() as u64);
        Batch { lines, missed }
    }
}

/// The agent type of a line in JSON.
fn agent_type(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(AGENT_TYPE)?;
    rest.split_once('"').map(|(name, _)| name)
}

impl LineReader {
    /// The lines since the last read.
    pub fn read(&mut self) -> Batch {
        // First: a line that is added during this read wakes the reader again.
        self.changed.mark_unchanged();
        let batch = self.recent.shared.lock().since(self.next);
        self.next += batch.missed + batch.lines.len() as u64;
        batch
    }

    /// Waits for an unread line. May be dropped and called again.
    pub async fn changed(&mut self) {
        // The sender cannot go away: this reader holds it.
        self.changed.changed().await.ok();
    }
}

impl io::Write for &RecentLines {
    /// Takes one line; the log writes line by line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(String::from_utf8_lossy(line).trim_end_matches('\n'));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RecentLines {
    type Writer = &'a RecentLines;

    fn make_writer(&'a self) -> &'a RecentLines {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much is logged, the memory stays bounded, and nobody takes what is left for everything.
    #[tokio::test]
    async fn old_lines_make_room_and_a_slow_reader_learns_how_many() {
        let recent = RecentLines::new();
        let mut slow = recent.reader();
        recent.push("first");
        assert_eq!((slow.read().lines, slow.read().missed), (vec!["first".into()], 0));
        let long = "x".repeat(MAX_BYTES / 10);
        for number in 0..15 {
            recent.push(&format!("{number}{long}"));
        }
        slow.changed().await;
        let Batch { lines, missed } = slow.read();
        assert_eq!((lines.len(), missed), (9, 6));
        assert!(lines[0].starts_with("6x") && recent.shared.lock().bytes <= MAX_BYTES);
        // One that is longer than everything is dropped like the others.
        recent.push(&"x".repeat(2 * MAX_BYTES));
        recent.push("last");
        let Batch { lines, missed } = slow.read();
        assert_eq!((lines, missed), (vec!["last".into()], 1));
        assert_eq!(recent.reader().read().missed, 0);
    }

    #[test]
    fn a_type_that_logs_without_end_does_not_drive_out_the_others() {
        let recent = RecentLines::new();
        let line = |agent_type: &str, text: &str| {
            format!(r#"{{"message":"\"agent_type\":\"A\" {text}","span":{{"agent_type":"{agent_type}"}}}}"#)
        };
        let mut reader = recent.reader();
        recent.push(&line("A", "quiet"));
        for _ in 0..20 {
            recent.push(&line("B", &"x".repeat(MAX_BYTES / 10)));
        }
        let Batch { lines, missed } = reader.read();
        assert!(lines[0].contains("quiet") && lines.len() < 12, "{} lines", lines.len());
        assert_eq!(lines.len() as u64 + missed, 21);
        recent.push(&line("A", "again"));
        assert_eq!((reader.read().lines.len(), reader.read().missed), (1, 0));
    }
}
