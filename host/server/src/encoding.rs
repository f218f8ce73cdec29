//! Encoded bodies. The host does not decode bodies, and refuses compressed ones with a clear error rather than as
//! broken JSON: those that declare a `Content-Encoding`, and those with a transfer coding beside `chunked`, of which
//! hyper only looks at the last one.

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

/// Refuses a transfer coding that is not `chunked` alone (RFC 9112, section 6.1): an agent would get encoded bytes.
pub(super) fn check_transfer(headers: &HeaderMap) -> Result<(), HttpError> {
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter().map(|line| line.as_bytes());
    let codings = lines.flat_map(|line| line.split(|byte| *byte == b','));
    // A list may have empty elements (RFC 9110, section 5.6.1).
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, None) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        _ => Err(foreign_coding()),
    }
}

/// The answer to a transfer coding that is not `chunked` alone. hyper refuses some of them itself.
pub(super) fn foreign_coding() -> HttpError {
    let detail = "The body has a Transfer-Encoding that is not chunked alone, and the host takes no other.";
    HttpError::new(ErrorCode::TransferEncodingUnsupported, detail)
}

/// The answer to a length beside a transfer coding.
pub(super) fn two_lengths() -> HttpError {
    let detail = "The head has both Content-Length and Transfer-Encoding, so the end of the body is uncertain (RFC 9112, section 6.1).";
    HttpError::new(ErrorCode::RequestUnreadable, detail)
}

/// The answer to any other length that two readers may understand in two ways.
pub(super) fn uncertain_length() -> HttpError {
    let detail = "The end of the body is uncertain: a head has one Content-Length, which is a number, or one Transfer-Encoding (RFC 9112, section 6.3).";
    HttpError::new(ErrorCode::RequestUnreadable, detail)
}

/// Refuses bodies with a content encoding, for all requests of a router.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_transfer_coding_is_taken_but_chunked() {
        for (lines, is_taken) in [
            (&[][..], true),
            (&["chunked"], true),
            (&["CHUNKED"], true),
            (&[" , chunked ,"], true),
            (&["gzip, chunked"], false),
            (&["gzip", "chunked"], false),
            (&["chunked, chunked"], false),
            (&["chunked", "Chunked"], false),
            (&["x;q=\"chunked\", chunked"], false),
            (&["identity"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::TRANSFER_ENCODING, line.parse().expect("it is a value"));
            }
            assert_eq!(check_transfer(&headers).is_ok(), is_taken, "{headers:?}");
        }
    }
}
