//! The answer to bytes that hyper cannot read as a request. hyper answers them itself, without a body; that answer is
//! replaced by one in the host's format.

use std::io::IoSlice;

use axum::http::StatusCode;
use bytes::Bytes;

use super::answer::HttpError;
use super::body::BodyError;
use super::encoding;
use super::framing::FramingFault;
use daca_base::ErrorCode;

/// The replacement for an answer that hyper gives by itself.
pub(super) struct Refusal {
    /// Its code, for the log.
    pub(super) code: ErrorCode,
    /// All of its bytes.
    pub(super) text: Bytes,
}

/// The replacement for what is written, if that is an answer of hyper itself. hyper calls any fault of the framing an
/// invalid or too large head, so `fault` says what is wrong with the last one.
pub(super) fn instead_of(written: &[IoSlice<'_>], fault: Option<FramingFault>) -> Option<Refusal> {
    let mut pieces = written.iter().filter(|piece| !piece.is_empty());
    let (Some(head), None) = (pieces.next(), pieces.next()) else { return None };
    if !head.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let head = std::str::from_utf8(head).ok()?;
    let is_alone = head.find("\r\n\r\n") == Some(head.len() - 4);
    // All refusals of the host itself have a code.
    if !is_alone || !head.contains("\r\ncontent-length: 0\r\n") || head.contains("\r\ndaca-error: ") {
        return None;
    }
    let status = StatusCode::from_bytes(head.get("HTTP/1.1 ".len()..)?.get(..3)?.as_bytes()).ok()?;
    let (code, error) = match status {
        _ if fault == Some(FramingFault::Enormous) => {
            (ErrorCode::BodyTooLarge, HttpError::from(&BodyError::TooLarge))
        }
        _ if fault == Some(FramingFault::TwoLengths) => {
            (ErrorCode::RequestUnreadable, encoding::two_lengths())
        }
        _ if fault == Some(FramingFault::Uncertain) => {
            (ErrorCode::RequestUnreadable, encoding::uncertain_length())
        }
        _ if fault == Some(FramingFault::BareLf) => {
            let detail =
                "A line of the head ends with LF alone, and not with CR and LF (RFC 9112, section 2.2).";
            (ErrorCode::RequestUnreadable, HttpError::new(ErrorCode::RequestUnreadable, detail))
        }
        _ if fault == Some(FramingFault::Http2) => {
            let detail = "This is HTTP/2, and the host speaks HTTP/1.1.";
            let error = HttpError::new(ErrorCode::RequestUnreadable, detail);
            (ErrorCode::RequestUnreadable, error.with_status(StatusCode::HTTP_VERSION_NOT_SUPPORTED))
        }
        StatusCode::BAD_REQUEST if fault == Some(FramingFault::ForeignCoding) => {
            (ErrorCode::TransferEncodingUnsupported, encoding::foreign_coding())
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            let (code, detail) = (ErrorCode::HeadTooLarge, "The head of the request is too large.");
            (code, HttpError::new(code, detail).with_status(status))
        }
        _ => {
            let (code, detail) = (ErrorCode::RequestUnreadable, "This is not an HTTP/1 request.");
            (code, HttpError::new(code, detail).with_status(status))
        }
    };
    Some(Refusal { code, text: error.as_text().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(text: &str) -> Option<String> {
        instead_of(&[IoSlice::new(text.as_bytes())], None)
            .map(|refusal| String::from_utf8_lossy(&refusal.text).into_owned())
    }

    #[test]
    fn only_what_hyper_says_by_itself_is_replaced() {
        let own = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let text = instead(own).expect("it is hyper's");
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{text}");
        assert!(
            text.contains("\r\ndaca-error: head-too-large\r\n")
                && text.ends_with("\"code\":\"head-too-large\"}"),
            "{text}"
        );
        let enormous = instead_of(&[IoSlice::new(own.as_bytes())], Some(FramingFault::Enormous));
        let enormous = enormous.expect("it is hyper's");
        assert!(enormous.text.starts_with(b"HTTP/1.1 413 "), "{:?}", enormous.text);
        assert_eq!(enormous.code, ErrorCode::BodyTooLarge);
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ndaca-error: not-found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
        ] {
            assert_eq!(instead(other), None, "{other}");
        }
    }
}
