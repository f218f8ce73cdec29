//! The body of a request: read completely, within a time, at a minimum rate, and within the host's budget.
//!
//! The bytes of a body are counted until the last slice of them is dropped, wherever it is: for example as the payload
//! of a call that waits for its actor.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest as _, Request};
use axum::http::{Extensions, StatusCode};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::poll;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::answer::HttpError;
use super::body_turns::{BodyTurn, BodyTurns};
use super::budget::{Budget, Held, NoRoom};
use super::lingering::Lingering;
use daca_base::ErrorCode;

/// The time after which a body must arrive at the minimum rate.
const GRACE: Duration = Duration::from_secs(5);

/// Limits on bodies.
#[derive(Clone)]
pub(super) struct BodyBounds {
    /// The maximum size of one body in bytes. One that announces more is not read at all.
    pub(super) largest: usize,
    /// The time within which a whole body must arrive.
    pub(super) time: Duration,
    /// The minimum rate in bytes a second.
    pub(super) least_rate: usize,
    /// The budget of all bodies; without it, a body is passed on in pieces.
    pub(super) budget: Option<Budget>,
    /// The turns of large bodies.
    pub(super) turns: BodyTurns,
}

impl BodyBounds {
    /// The limits for a peer; `None` is one on this machine.
    pub(super) fn of_peer(&self, peer: Option<IpAddr>) -> BodyBounds {
        let budget = self.budget.as_ref().map(|budget| match peer {
            Some(peer) => budget.of_peer(peer),
            None => budget.clone(),
        });
        BodyBounds { budget, ..self.clone() }
    }
}

/// The agent type to which a body is charged, among the extensions of its request. The handler knows it, and says so before
/// it reads the body. That of no type is the host's own.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyOwner(Arc<OnceLock<Arc<str>>>);

impl BodyOwner {
    /// Notes the agent type of a request whose body is not read yet.
    pub(super) fn set(extensions: &Extensions, agent_type: Arc<str>) {
        if let Some(owner) = extensions.get::<BodyOwner>() {
            owner.0.set(agent_type).ok(); // the first one counts
        }
    }

    /// The agent type, as far as it is known.
    pub(super) fn agent_type(&self) -> Option<&str> {
        self.0.get().map(|agent_type| &**agent_type)
    }
}

/// Why a body is not available.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum BodyError {
    #[error("it has more bytes than max-body in [host] of the manifest allows")]
    TooLarge,
    #[error("it arrived too slowly")]
    TooSlow,
    #[error("the host's bound on bytes of bodies is reached")]
    NoRoom,
    #[error("the host's budget of memory is used up")]
    NoMemory,
    #[error("{0}")]
    Broken(String),
}

impl BodyError {
    /// The cause of an extractor's rejection, or of the error of a body that is read in pieces.
    pub(super) fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a BodyError> {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }
}

impl From<NoRoom> for BodyError {
    fn from(full: NoRoom) -> BodyError {
        match full {
            NoRoom::Bodies => BodyError::NoRoom,
            NoRoom::Memory => BodyError::NoMemory,
        }
    }
}

impl From<&BodyError> for HttpError {
    fn from(error: &BodyError) -> HttpError {
        match error {
            BodyError::TooLarge => {
                let detail = "The body has more bytes than max-body in [host] of the manifest allows.";
                HttpError::new(ErrorCode::BodyTooLarge, detail)
            }
            BodyError::TooSlow => {
                let detail = "The body arrived too slowly: body-time and least-body-rate in [host] of the manifest are the bounds.";
                HttpError::new(ErrorCode::BodyTooSlow, detail)
            }
            BodyError::NoRoom => {
                let detail = "The host holds as many bytes of bodies as max-held-body-bytes in [host] of the manifest allows.";
                HttpError::new(ErrorCode::BodiesExhausted, detail)
            }
            BodyError::NoMemory => {
                let detail = "The host has no memory for the body now: memory in [host] of the manifest is the bound. Call again later.";
                HttpError::new(ErrorCode::MemoryExhausted, detail)
            }
            BodyError::Broken(reason) => {
                HttpError::new(ErrorCode::BodyUnreadable, format!("The body could not be read: {reason}."))
            }
        }
    }
}

/// A body that is not read yet, being read, or read.
pub(super) enum RequestBody {
    Unread(Lingering, Arc<BodyBounds>, BodyOwner),
    Whole(BoxFuture<'static, Result<Bytes, BodyError>>),
    Pieces(Lingering, Clock),
    Ended,
}

impl RequestBody {
    pub(super) fn new(body: Lingering, bounds: Arc<BodyBounds>, owner: BodyOwner) -> RequestBody {
        RequestBody::Unread(body, bounds, owner)
    }

    /// Starts to read, unless it has been started.
    fn begin(&mut self) -> Result<(), BodyError> {
        let (body, bounds, owner) = match std::mem::replace(self, RequestBody::Ended) {
            RequestBody::Unread(body, bounds, owner) => (body, bounds, owner),
            begun => {
                *self = begun;
                return Ok(());
            }
        };
        if body.size_hint().lower() > bounds.largest as u64 {
            return Err(BodyError::TooLarge);
        }
        let clock = Clock::new(&bounds, 0);
        *self = match &bounds.budget {
            Some(budget) => {
                let held = budget.hold(owner.agent_type());
                RequestBody::Whole(Box::pin(whole(body, clock, bounds.clone(), held)))
            }
            None => RequestBody::Pieces(body, clock),
        };
        Ok(())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if let Err(error) = self.begin() {
            return Poll::Ready(Some(Err(error)));
        }
        let read = match &mut *self {
            RequestBody::Whole(whole) => {
                Some(ready!(whole.as_mut().poll(context))).map(|read| read.map(Frame::data))
            }
            RequestBody::Pieces(body, clock) => {
                let read = ready!(clock.poll_piece(body, context));
                if let Some(Ok(_)) = read {
                    return Poll::Ready(read);
                }
                read
            }
            RequestBody::Unread(..) | RequestBody::Ended => None,
        };
        *self = RequestBody::Ended;
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Unread(body, ..) | RequestBody::Pieces(body, _) => body.is_end_stream(),
            RequestBody::Whole(_) => false,
            RequestBody::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Unread(body, ..) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

/// The bytes of a body, and their share of the budget.
struct KeptBody {
    data: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for KeptBody {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// The bytes of a body, which hold their share of the budget.
pub(super) fn kept(data: Vec<u8>, held: Held) -> Bytes {
    Bytes::from_owner(KeptBody { data, _held: held })
}

/// Reads a body to its end.
async fn whole(
    mut body: Lingering,
    mut clock: Clock,
    bounds: Arc<BodyBounds>,
    mut held: Held,
) -> Result<Bytes, BodyError> {
    let (largest, mut data, mut turn) = (bounds.largest, Vec::<u8>::new(), BodyTurn::default());
    while !body.is_end_stream() {
        let poll = |context: &mut Context<'_>| clock.poll_piece(&mut body, context);
        let (piece, waited) = bounds.turns.piece(&mut turn, data.len(), poll).await;
        clock.start += waited;
        let Some(frame) = piece.transpose()? else { break };
        let Ok(piece) = frame.into_data() else { continue };
        turn.has_read(piece.len());
        let bytes = data.len() + piece.len();
        if bytes > largest {
            return Err(BodyError::TooLarge);
        }
        if bytes > data.capacity() {
            // By itself it would grow to twice the size, and more than is counted.
            let capacity = if data.is_empty() { bytes } else { largest.min(bytes + bytes / 4) };
            let mut covered = pin!(held.cover(capacity));
            clock.start += match poll!(covered.as_mut()) {
                Poll::Ready(waited) => waited,
                Poll::Pending => {
                    turn.end();
                    covered.await
                }
            }?;
            data.reserve_exact(capacity - data.len());
        }
        data.extend_from_slice(&piece);
    }
    Ok(kept(data, held))
}

/// Tells when a body arrives too slowly, or an answer is read too slowly.
pub(super) struct Clock {
    start: Instant,
    time: Duration,
    least_rate: usize,
    bytes: usize,
    /// It was asked whether it is too late.
    was_asked: bool,
    alarm: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Clock {
    /// Starts now, after so many bytes have passed.
    pub(super) fn new(bounds: &BodyBounds, bytes: usize) -> Clock {
        let (start, least_rate) = (Instant::now(), bounds.least_rate.max(1));
        Clock { start, time: bounds.time, least_rate, bytes, was_asked: false, alarm: None }
    }

    /// Counts passed bytes.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// When the bytes passed so far will no longer be enough.
    fn due(&self) -> Instant {
        let paid = Duration::from_secs_f64(self.bytes as f64 / self.least_rate as f64);
        self.start + self.time.min(GRACE.saturating_add(paid))
    }

    /// The next piece. A body that arrives too slowly is not read further.
    fn poll_piece(
        &mut self,
        body: &mut Lingering,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(piece) = Pin::new(&mut *body).poll_frame(context) {
            let piece = piece.map(|piece| piece.map_err(|error| BodyError::Broken(error.to_string())));
            if let Some(Ok(frame)) = &piece {
                self.count(frame.data_ref().map_or(0, Bytes::len));
                // A body that always has a piece ready can be too late as well.
                if !body.is_end_stream() && Instant::now() > self.start + self.time {
                    body.cut();
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
            }
            return Poll::Ready(piece);
        }
        ready!(self.poll_late(context));
        body.cut();
        Poll::Ready(Some(Err(BodyError::TooSlow)))
    }

    /// Ready when it is too late. The first time it has the task polled again, and sets no timer: hyper hands a body over
    /// when its connection is polled the next time, so most bodies need none.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.was_asked, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let due = self.due();
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(context)
    }
}

/// Reads a body. The bound on it is among the extensions of its request.
pub(super) async fn read_body(body: Body, extensions: Extensions) -> Result<Bytes, BytesRejection> {
    let mut unread = Request::new(body);
    *unread.extensions_mut() = extensions;
    Bytes::from_request(unread, &()).await
}

/// Why a handler got no body.
pub(super) fn unreadable_body(error: BytesRejection) -> HttpError {
    if let Some(reason) = BodyError::of(&error) {
        return reason.into();
    }
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "The body has more bytes than max-body in [host] of the manifest allows.";
        return HttpError::new(ErrorCode::BodyTooLarge, detail);
    }
    HttpError::new(ErrorCode::BodyUnreadable, format!("The body could not be read: {}.", error.body_text()))
}
