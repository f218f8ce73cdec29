//! A connection's bytes, as hyper reads and writes them.
//!
//! hyper reads ahead, and its buffer grows with the size of the reads. They are kept small, so that a waiting
//! connection holds little. A head may have several megabytes (see [`super::head`]), but only of a few connections at
//! the same time: the others are not read further until there is a permit, or their time for a head is over. Larger
//! heads pass through the [`super::head_filter`], which shortens them.
//!
//! Answers have the time and the minimum rate of bodies: a client that does not read would otherwise hold its answer
//! forever. They count from the first byte that cannot be written until all are. The time for a next head begins only
//! then: hyper's own timer would end a connection whose client still reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use parking_lot::MutexGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::PollSemaphore;

use super::body::{BodyBounds, Clock};
use super::connection::{Activity, Connection};
use super::head::LineLimits;
use super::head_filter::{Bounds, HeadFilter};
use super::unreadable::{self, Refusal};
use daca_base::ErrorCode;

/// The size of one read in bytes.
const READ: usize = 32 * 1024;
/// The bytes of a head that need no permit.
const SMALL_HEAD: usize = 16 * 1024;
/// The number of larger heads that are read at the same time, over all connections of a port.
pub(super) const LARGE_HEADS: usize = 16;

/// A client that has not sent the head of its request within this time is disconnected.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A client that has sent nothing for this time since its last answer is disconnected. Proxies keep their connections
/// for a minute: one that is used at the moment in which it is closed costs them a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The same on a connection that serves health checks only: there are few of them.
const SPARE_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection ends whose client does not read.
#[derive(Debug, thiserror::Error)]
#[error("the answer was read too slowly")]
pub(super) struct AnswerTooSlow;

pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    head: HeadProgress,
    large_heads: PollSemaphore,
    filter: HeadFilter,
    /// Bytes that were read and filtered, and that did not fit into hyper's buffer.
    filtered: Bytes,
    /// The replacement for what hyper wants to write.
    instead: Option<Bytes>,
    /// The code of that answer, for those who log the end of the connection.
    refused: Arc<OnceLock<ErrorCode>>,
    write_time: WriteTime,
}

/// The bytes and the time of the head of a request.
struct HeadProgress {
    bytes: usize,
    /// The number of requests before it.
    requests: u64,
    timeout: Duration,
    /// When the first byte of the current head arrived.
    began: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
}

impl HeadProgress {
    fn new(timeout: Duration) -> HeadProgress {
        let alarm = Box::pin(tokio::time::sleep(timeout));
        HeadProgress { bytes: 0, requests: 0, timeout, began: None, alarm }
    }

    /// Begins anew if there was another request in between.
    fn follows(&mut self, requests: u64) {
        if self.requests != requests {
            (self.requests, self.bytes, self.began) = (requests, 0, None);
        }
    }

    /// Notes bytes of a head.
    fn arrived(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.began.is_none() {
            let now = Instant::now();
            self.began = Some(now);
            self.alarm.as_mut().reset(now + self.timeout);
        }
    }

    /// Ready when the head of a request has not arrived in time. Checked again after that time in any case, since
    /// nobody wakes the reader when the wait for a head begins.
    fn poll_late(&mut self, activity: &Activity, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let now = Instant::now();
            let idle_since = activity.waits_for_head_since().map_or(now, Instant::from_std);
            let late = match self.began {
                Some(began) => began + self.timeout,
                // The first request has the time of a head to begin, and a next one that of an idle connection.
                None if activity.requests() == 0 => idle_since + self.timeout,
                None => idle_since + IDLE_TIMEOUT,
            };
            if late <= now {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(late);
        }
    }
}

/// The time and the minimum rate of an answer.
struct WriteTime {
    bounds: Arc<BodyBounds>,
    /// Bytes written since the last complete flush.
    written: usize,
    /// Runs while there are bytes that could not be written.
    clock: Option<Clock>,
}

impl WriteTime {
    fn count(&mut self, written: usize) {
        self.written = self.written.saturating_add(written);
        if let Some(clock) = &mut self.clock {
            clock.count(written);
        }
    }

    /// Called when nothing can be written now. Ready when the client reads too slowly.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.clock.get_or_insert_with(|| Clock::new(&self.bounds, self.written)).poll_late(context)
    }

    /// Notes that everything is written.
    fn flushed(&mut self) {
        (self.written, self.clock) = (0, None);
    }
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        (lines, large_heads): (LineLimits, PollSemaphore),
        bounds: Arc<BodyBounds>,
        refused: Arc<OnceLock<ErrorCode>>,
    ) -> Socket {
        let head_timeout = if connection.is_spare { SPARE_HEAD_TIMEOUT } else { HEAD_TIMEOUT };
        Socket {
            stream,
            connection,
            head: HeadProgress::new(head_timeout),
            large_heads,
            filter: HeadFilter::new(Bounds::of(lines)),
            filtered: Bytes::new(),
            instead: None,
            refused,
            write_time: WriteTime { bounds, written: 0, clock: None },
        }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        loop {
            self.hand_on(buffer);
            if buffer.filled().len() > filled || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_head(context));
            // First: the buffer below is filled with zeros, which half of all attempts to read need not cost.
            if self.stream.poll_read_ready(context)?.is_pending() {
                self.connection.activity.note_wait();
                return Poll::Pending;
            }
            let most = buffer.remaining().min(READ);
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            let polled = Pin::new(&mut self.stream).poll_read(context, &mut part);
            if polled.is_pending() {
                self.connection.activity.note_wait();
            }
            ready!(polled)?;
            let read = part.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let skipped = self.filter.skip(read);
            self.read_head(&read[skipped..]);
            buffer.advance(skipped);
        }
    }

    /// Processes bytes of heads, and those behind them.
    fn read_head(&mut self, read: &[u8]) {
        let reads = self.connection.activity.reads_head().then(|| self.connection.activity.requests());
        if reads.is_some() {
            self.head.arrived(read.len());
        }
        let mut filtered = Vec::with_capacity(read.len());
        self.filter.pass(read, reads, &mut filtered);
        self.filtered = filtered.into();
        let cut = self.filter.take_cut();
        if cut > 0 {
            self.connection.head.cut(cut);
        }
    }

    /// Gives hyper the bytes that it has space for.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let most = self.filtered.len().min(buffer.remaining());
        buffer.put_slice(&self.filtered.split_to(most));
        if self.filtered.is_empty() {
            // A waiting connection holds no memory.
            self.filtered = Bytes::new();
        }
    }

    fn poll_pieces(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write_vectored(context, pieces) else {
            ready!(self.write_time.poll_late(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, AnswerTooSlow)));
        };
        let written = written?;
        self.write_time.count(written);
        Poll::Ready(Ok(written))
    }

    /// Waits until the next bytes of a head may be read.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.head.follows(self.connection.activity.requests());
        if self.head.bytes >= SMALL_HEAD && self.place().is_none() {
            let place = ready!(self.large_heads.poll_acquire(context));
            *self.place() = place;
        }
        Poll::Ready(())
    }

    fn place(&self) -> MutexGuard<'_, Option<tokio::sync::OwnedSemaphorePermit>> {
        self.connection.head.permit()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let polled = socket.poll_bytes(context, buffer);
        if polled.is_pending() {
            ready!(socket.head.poll_late(&socket.connection.activity, context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    /// hyper calls it when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.write_time.flushed();
        self.connection.activity.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none()
            && let Some(refusal) = unreadable::instead_of(bytes, self.filter.fault())
        {
            let Refusal { code, text } = refusal;
            self.refused.set(code).ok(); // the first one counts
            self.instead = Some(text);
        }
        while let Some(mut instead) = self.instead.clone().filter(|instead| !instead.is_empty()) {
            let written = ready!(self.poll_pieces(context, &[IoSlice::new(&instead)]))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            instead.advance(written);
            self.instead = Some(instead);
        }
        if self.instead.take().is_none() {
            return self.poll_pieces(context, bytes);
        }
        Poll::Ready(Ok(bytes.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
