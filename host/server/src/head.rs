//! The limits on the head of a request.
//!
//! A sidecar turns the headers of a Kafka message into HTTP headers, and resends a message that is answered 4xx
//! forever: the messages behind it are never handled. So the parser accepts about everything that a Kafka message can
//! contain ([`BEHIND_SIDECAR`], [`MAX_BYTES`]). Users' requests have smaller limits, which are checked here and answered
//! in the host's format. A larger head is shortened while it is read, and its request is marked ([`HeadCut`]): a
//! message of a binding is then dead-lettered. An event is handled, since its body is complete.

use axum::extract::Request;
use axum::http::{HeaderMap, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer::HttpError;
use super::encoding;
use daca_base::ErrorCode;

/// The header lines of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineLimits {
    /// Those that hyper parses. It takes 64 bytes for each of them whenever it parses a head, whether they are used or
    /// not, and `HeaderMap` panics beyond 24,576.
    pub(super) parsed: usize,
    /// Further ones pass only if they determine how a request is read. The rest is for these.
    pub(super) passed: usize,
}

/// On a port behind a sidecar.
pub(super) const BEHIND_SIDECAR: LineLimits = LineLimits { parsed: 8_000, passed: 4_000 };
/// On any other port. Nobody resends what is refused there, and half a megabyte for each head is not worth it: the
/// allocator has to put together what it keeps of smaller pieces.
pub(super) const WITHOUT_SIDECAR: LineLimits = LineLimits { parsed: 256, passed: PEOPLES_LINES };
/// The bytes of a head that are read: a message of Kafka's default maximum size (1 MB) whose bytes are all URL-encoded,
/// three for one.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The same for requests that are not from an input binding.
const PEOPLES_LINES: usize = 200;
const PEOPLES_BYTES: usize = 64 * 1024;

/// The number of lines by which the head of a request was shortened. It is in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadCut {
    pub(super) lines: usize,
}

impl HeadCut {
    /// The answer.
    pub(super) fn refusal(self) -> HttpError {
        let detail =
            format!("The head of the request was too large: {} of its lines were not read.", self.lines);
        HttpError::new(ErrorCode::HeadTooLarge, detail)
    }
}

/// Refuses heads that are larger than users need, that do not name a host, or whose body has an unknown transfer coding.
/// `large` are the paths whose handlers call [`check_size`] themselves.
pub(super) fn check(large: &[String], request: &Request) -> Result<(), HttpError> {
    check_host(request)?;
    encoding::check_transfer(request.headers())?;
    if large.iter().any(|path| path == request.uri().path()) {
        return Ok(());
    }
    check_size(request.uri(), request.headers(), request.extensions().get::<HeadCut>().copied())
}

/// The same for all requests of a router.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match check(&[], &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Checks that the head is within the limits for users.
pub(super) fn check_size(uri: &Uri, headers: &HeaderMap, cut: Option<HeadCut>) -> Result<(), HttpError> {
    if let Some(cut) = cut {
        return Err(cut.refusal());
    }
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let bytes = path + lines.sum::<usize>();
    if headers.len() <= PEOPLES_LINES && bytes <= PEOPLES_BYTES {
        return Ok(());
    }
    let detail = format!(
        "The request has {} header lines, and its head has {bytes} bytes; the limits are {PEOPLES_LINES} and {PEOPLES_BYTES}.",
        headers.len()
    );
    Err(HttpError::new(ErrorCode::HeadTooLarge, detail))
}

/// HTTP/1.1 requires exactly one `Host` (RFC 9112, section 3.2).
fn check_host(request: &Request) -> Result<(), HttpError> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11) {
        return Ok(());
    }
    let detail = format!("A request has one header Host (RFC 9112, section 3.2); this one has {hosts}.");
    Err(HttpError::new(ErrorCode::HostInvalid, detail))
}
