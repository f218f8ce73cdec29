//! The last lines of the log, in memory, for the admin API.
//!
//! One bound applies to everything: a follower only has the number of its next line, and a line that was dropped before
//! it was read is counted, not kept.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

/// The maximum bytes that are kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The overhead of a line in bytes.
const LINE_OVERHEAD: usize = 40;

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
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// The number of the oldest kept line.
    first: u64,
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
        let next = self.shared.lock().first;
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
    fn push(&mut self, line: &str, most_bytes: usize) {
        self.bytes += line.len() + LINE_OVERHEAD;
        self.lines.push_back(line.into());
        while self.bytes > most_bytes
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + LINE_OVERHEAD;
            self.first += 1;
        }
    }

    fn since(&self, next: u64) -> Batch {
        let seen = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        Batch {
            lines: self.lines.iter().skip(seen).cloned().collect(),
            missed: self.first.saturating_sub(next),
        }
    }
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
}
