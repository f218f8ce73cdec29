//! The output of the log: a bounded queue, and one thread that writes it to standard error.
//!
//! Logging only appends to the queue and never waits for the reader of standard error, which may be a full pipe, a
//! stopped terminal or a full disk. When the queue is full, lines are dropped and counted. The count is logged once
//! writing works again, and [`Output::dropped`] is the sum since the start.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::{ErrorCode, task};

/// The maximum bytes of lines that wait to be written.
const MAX_QUEUED: usize = 4 * 1024 * 1024;
/// The overhead of a line in bytes.
const LINE_OVERHEAD: usize = 40;
/// The bytes that are written at once, unless one line is longer.
const MAX_WRITE: usize = 64 * 1024;
/// The wait between two attempts if standard error does not block (`O_NONBLOCK`).
const RETRY_DELAY: Duration = Duration::from_millis(10);
/// While lines are dropped, that is reported once in this time.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// The queue of lines for standard error. A cheap handle.
#[derive(Clone)]
pub struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// A line was added, or the thread has written everything.
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The thread is writing what it took out of the queue.
    is_writing: bool,
    /// Lines that were dropped since the start.
    dropped: u64,
}

impl Output {
    /// A queue for standard error.
    pub(super) fn stderr() -> io::Result<Output> {
        // A separate descriptor: the lock of `std::io::stderr` would be held for as long as a write is stuck.
        let target = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Output::to(target, MAX_QUEUED)
    }

    fn to(target: impl Write + Send + 'static, max_bytes: usize) -> io::Result<Output> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), max_bytes });
        let mut writer = LogWriter { shared: shared.clone(), target, reported: 0, reported_at: None };
        let write = move || task::lasting_thread("log", || writer.run());
        std::thread::Builder::new().name("log-writer".into()).spawn(write)?;
        Ok(Output { shared })
    }

    /// Appends a text, which ends with a line end. If the queue is full, drops and counts it. Never blocks.
    pub fn push(&self, text: &[u8]) {
        let mut queue = self.shared.lock();
        let bytes = text.len() + LINE_OVERHEAD;
        if queue.bytes + bytes > self.shared.max_bytes {
            queue.dropped += 1;
            return;
        }
        queue.bytes += bytes;
        queue.lines.push_back(text.into());
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Lines that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Waits until everything is written, but no longer than `timeout`. Returns `true` if it is.
    pub fn flush(&self, timeout: Duration) -> bool {
        let is_pending = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        let mut queue = self.shared.lock();
        self.shared.changed.wait_while_for(&mut queue, is_pending, timeout);
        !is_pending(&mut queue)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Waits for lines, and takes as many as are written at once.
    fn take(&self) -> Vec<u8> {
        let mut queue = self.lock();
        self.changed.wait_while(&mut queue, |queue| queue.lines.is_empty());
        let mut text = Vec::new();
        while let Some(line) =
            queue.lines.pop_front_if(|line| text.is_empty() || text.len() + line.len() <= MAX_WRITE)
        {
            queue.bytes -= line.len() + LINE_OVERHEAD;
            text.extend_from_slice(&line);
        }
        queue.is_writing = true;
        text
    }

    /// Records the result of a write. Returns how many lines were dropped so far, and whether more lines wait.
    fn written(&self, lost: u64) -> (u64, bool) {
        let mut queue = self.lock();
        queue.is_writing = false;
        queue.dropped += lost;
        let answer = (queue.dropped, !queue.lines.is_empty());
        drop(queue);
        self.changed.notify_all();
        answer
    }
}

/// The writing thread.
struct LogWriter<W> {
    shared: Arc<Shared>,
    target: W,
    /// Dropped lines that the log has reported.
    reported: u64,
    reported_at: Option<Instant>,
}

impl<W: Write> LogWriter<W> {
    fn run(&mut self) {
        loop {
            let text = self.shared.take();
            let result = self.write(&text);
            // It cannot be reported here; the count is reported later.
            let lost = if result.is_err() { text.split(|byte| *byte == b'\n').count() as u64 - 1 } else { 0 };
            let (dropped, more_wait) = self.shared.written(lost);
            let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_PERIOD);
            if result.is_ok() && dropped > self.reported && (is_due || !more_wait) {
                self.report(dropped);
            }
        }
    }

    fn write(&mut self, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            match self.target.write(text) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => text = &text[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_DELAY),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Through the log itself, so that the line has the log's format and is among the last lines, too.
    fn report(&mut self, dropped: u64) {
        let lines = dropped - self.reported;
        (self.reported, self.reported_at) = (dropped, Some(Instant::now()));
        tracing::warn!(
            code = ErrorCode::LogLinesDropped.as_str(),
            lines,
            "{lines} lines of the log are missing here: standard error is too slow or closed"
        );
    }
}

impl Write for &Output {
    /// Takes one line; the log writes line by line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = &'a Output;

    fn make_writer(&'a self) -> &'a Output {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes each write only once the test allows it, and hands it to the test.
    struct Gate {
        allowed: mpsc::Receiver<io::Result<()>>,
        written: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(io::Error::other)??;
            self.written.send(String::from_utf8_lossy(text).into_owned()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_that_are_counted_and_nothing_else() -> anyhow::Result<()> {
        let (allow, allowed) = mpsc::channel();
        let (written, reads) = mpsc::channel();
        let output = Output::to(Gate { allowed, written }, 10 * (LINE_OVERHEAD + 5))?;
        let line = |number: u32| format!("{number:04}\n");
        output.push(line(0).as_bytes());
        // The thread has taken the first line, and is stuck with it.
        while output.shared.lock().bytes > 0 {
            std::thread::yield_now();
        }
        (1..=15).for_each(|number| output.push(line(number).as_bytes()));
        assert_eq!(output.dropped(), 5);
        assert!(!output.flush(Duration::from_millis(20)), "nothing was written yet");
        for _ in 0..2 {
            allow.send(Ok(()))?;
        }
        assert_eq!(reads.recv()?, line(0));
        assert_eq!(reads.recv()?, (1..=10).map(line).collect::<String>());
        assert!(output.flush(Duration::from_secs(60)));
        // What cannot be written is counted as well, and the thread goes on.
        allow.send(Err(ErrorKind::StorageFull.into()))?;
        output.push(line(16).as_bytes());
        assert!(output.flush(Duration::from_secs(60)));
        assert_eq!(output.dropped(), 6);
        allow.send(Ok(()))?;
        output.push(line(17).as_bytes());
        assert_eq!(reads.recv()?, line(17));
        Ok(())
    }
}
