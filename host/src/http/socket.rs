//! A connection's bytes, as hyper reads them.
//!
//! hyper reads ahead, and lets its buffer grow with the size of the reads: they are kept small, so that a connection which waits
//! holds little. A head may be of some megabytes (see [`super::head`]), but only of a few connections at the same time: the
//! others are not read on until there is room, or their time for a head is over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::PollSemaphore;

use super::connections::Connection;
use super::unreadable;

/// Bytes of one read.
const READ: usize = 32 * 1024;
/// Bytes of a head that need no place.
const SMALL_HEAD: usize = 16 * 1024;
/// Larger heads that are read at the same time, over all connections of a port.
pub(super) const LARGE_HEADS: usize = 16;

pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Bytes of the head that is being read, and the number of requests before it.
    head: usize,
    requests: u64,
    large_heads: PollSemaphore,
    /// What is written instead of what hyper wants to write.
    instead: Option<Bytes>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, large_heads: PollSemaphore) -> Socket {
        Socket { stream, connection, head: 0, requests: 0, large_heads, instead: None }
    }

    /// Waits until the next bytes of a head may be read.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let requests = self.connection.requests();
        if self.requests != requests {
            (self.requests, self.head) = (requests, 0);
        }
        if self.head >= SMALL_HEAD && self.place().is_none() {
            let place = ready!(self.large_heads.poll_acquire(context));
            *self.place() = place;
        }
        Poll::Ready(())
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<tokio::sync::OwnedSemaphorePermit>> {
        self.connection.large_head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_head(context));
        let most = buffer.remaining().min(READ);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        if self.connection.reads_head() {
            self.head += read;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = unreadable::instead_of(bytes);
        }
        let socket = &mut *self;
        let Some(instead) = &mut socket.instead else {
            return Pin::new(&mut socket.stream).poll_write_vectored(context, bytes);
        };
        while !instead.is_empty() {
            let written = ready!(Pin::new(&mut socket.stream).poll_write(context, instead))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            instead.advance(written);
        }
        socket.instead = None;
        Poll::Ready(Ok(bytes.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
