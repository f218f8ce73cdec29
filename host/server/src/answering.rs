//! The body of an answer, which ends the handling of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::connection::Handled;

/// An answer's body. The request is handled until hyper has all of it.
pub(super) struct Answering {
    body: Body,
    _handled: Handled,
}

impl Answering {
    pub(super) fn new(body: Body, handled: Handled) -> Answering {
        Answering { body, _handled: handled }
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
