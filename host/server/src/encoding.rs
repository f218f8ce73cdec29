//! Encoded bodies. The host does not decode bodies, and refuses compressed ones with a clear error rather than as
//! broken JSON.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer::HttpError;
use daca_base::ErrorCode;

/// Refuses a body that declares an encoding.
pub(super) fn check(headers: &HeaderMap) -> Result<(), HttpError> {
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter().find(|value| {
        let text = value.as_bytes().trim_ascii();
        !text.is_empty() && !text.eq_ignore_ascii_case(b"identity")
    });
    let Some(encoding) = encoded else { return Ok(()) };
    let detail = format!(
        "The body has the Content-Encoding {}, and the host takes none but identity.",
        daca_base::telemetry::printable(&String::from_utf8_lossy(encoding.as_bytes()))
    );
    Err(HttpError::new(ErrorCode::BodyEncodingUnsupported, detail))
}

/// The same for all requests of a router.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}
