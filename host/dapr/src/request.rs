//! Requests to the sidecar, with timeouts.

use std::future::Future;
use std::time::Duration;

use tonic::{Request, Response, Status};

/// The metadata with the W3C trace context of a request.
const TRACEPARENT: &str = "traceparent";

/// The timeout of a state store, a broker or a scheduler.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(15);

/// A request with a timeout.
pub(super) async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {limit:?}"))),
    }
}

/// A request with its trace context.
pub(super) fn traced<T>(message: T, traceparent: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(value) = traceparent.and_then(|text| text.parse().ok()) {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
    request
}
