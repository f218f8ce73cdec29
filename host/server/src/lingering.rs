//! Reads the rest of a request's body that nobody needs any more.
//!
//! A client whose body is refused, for example because it is too large, gets its answer at once. If the connection were
//! closed while the client still sends, the kernel would answer with a reset, and the client might never see the
//! answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::connection::Received;

/// The time for which the rest is read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The bytes of the rest that are read.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The body. If it is dropped before its end, it is read further.
pub(super) struct Lingering {
    body: Option<Incoming>,
    /// The client sends nothing until it is asked to (`Expect: 100-continue`), and reading asks it.
    waits: bool,
    arrives: Option<Received>,
}

impl Lingering {
    pub(super) fn new(body: Incoming, waits: bool, arrives: Received) -> Lingering {
        Lingering { body: Some(body), waits, arrives: Some(arrives) }
    }

    /// Stops reading: the connection is closed after the answer.
    pub(super) fn cut(&mut self) {
        self.body = None;
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled.map_err(axum::Error::new)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !self.waits && !http_body::Body::is_end_stream(body));
        let arrives = self.arrives.take();
        // Without a runtime nobody reads, and the connection is gone as well.
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(READ_TIMEOUT, discard(rest, arrives)));
        }
    }
}

async fn discard(mut body: Incoming, _arrives: Option<Received>) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BYTES {
            return;
        }
    }
}
