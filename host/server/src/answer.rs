//! The format of answers: JSON. An error has a text (`detail`) and a stable code (`code`), whose class decides the HTTP
//! status. This is the one place in which errors become HTTP.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;

use super::json_answer::Json;
use daca_base::ErrorCode;
use daca_base::error_code::{AnyCode, Class};
use daca_base::json::Document;
use daca_model::admin::{CODE_HEADER, Refusal};
use daca_model::{CallError, RemoteError};

/// An error in the caller's view.
#[derive(Debug)]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    pub(super) code: AnyCode,
    pub(super) detail: String,
    /// What to do, if the detail does not say it.
    pub(super) help: Option<String>,
    /// The body has the code even if the error is the agent's.
    pub(super) names_code: bool,
}

/// The HTTP status of a class of errors.
fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::Unauthorized => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        Class::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Class::Conflict | Class::Overtaken => StatusCode::CONFLICT,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::WrongEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Class::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Class::Unusable => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Busy => StatusCode::TOO_MANY_REQUESTS,
        Class::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Class::StorageFull | Class::OverQuota => StatusCode::INSUFFICIENT_STORAGE,
        // Errors of the last two classes are never answered.
        Class::Failed | Class::Permanent | Class::Setup | Class::Notice => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The HTTP status of a call that failed. That of another host is passed on as it was answered.
pub fn call_status(error: &CallError) -> StatusCode {
    let passed_on = |remote: &RemoteError| {
        StatusCode::from_u16(remote.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    };
    error.own_code().map_or_else(passed_on, |code| status_of(code.class()))
}

impl HttpError {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> HttpError {
        let status = status_of(code.class());
        HttpError { status, code: code.into(), detail: detail.into(), help: None, names_code: false }
    }

    pub(super) fn with_help(self, help: String) -> HttpError {
        HttpError { help: Some(help), ..self }
    }

    /// For callers of routes, who see only the first line of why an agent failed. A stack begins after it; the log has
    /// all lines.
    pub(super) fn without_stack(self) -> HttpError {
        let is_the_agents =
            matches!(self.code, AnyCode::Known(ErrorCode::Failed | ErrorCode::NeededUnavailable));
        match self.detail.trim_start().split_once('\n') {
            Some((first, _stack)) if is_the_agents => {
                HttpError { detail: first.trim_end().to_owned(), ..self }
            }
            _ => self,
        }
    }

    /// For the few answers whose status is finer than the class.
    pub(super) fn with_status(self, status: StatusCode) -> HttpError {
        HttpError { status, ..self }
    }

    /// An error of the agent (`invalid`, `not-found`, `failed`) is answered with its text alone, as routes promise to
    /// their callers; an error of the host, and any error of the admin API, has its code beside it. The header
    /// `daca-error` always has the code.
    fn body(&self) -> Refusal {
        let HttpError { status: _, code, detail, help, names_code } = self;
        let is_the_agents =
            matches!(code, AnyCode::Known(ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Failed));
        let code = (*names_code || !is_the_agents).then(|| code.to_string());
        Refusal { detail: detail.clone(), code, help: help.clone() }
    }

    /// The same in the form of the admin API, whose errors all have a code in the body.
    pub(super) fn naming_code(self) -> HttpError {
        HttpError { names_code: true, ..self }
    }

    /// The whole answer as it is written to a connection that is then closed.
    pub(super) fn as_text(&self) -> String {
        let body = json!(self.body()).to_string();
        format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\ndaca-error: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.status,
            self.code,
            body.len()
        )
    }
}

impl From<CallError> for HttpError {
    fn from(error: CallError) -> HttpError {
        HttpError {
            status: call_status(&error),
            code: error.code(),
            detail: error.to_string(),
            help: None,
            names_code: false,
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.body())).into_response();
        if let Ok(code) = HeaderValue::from_str(self.code.as_str()) {
            response.headers_mut().insert(CODE_HEADER, code);
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // The rest of a body may stay unread, so the connection cannot serve another request. An unauthorised client
        // does not keep a connection.
        const CLOSE: [StatusCode; 5] = [
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::UNAUTHORIZED,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            StatusCode::NOT_IMPLEMENTED,
        ];
        if CLOSE.contains(&status) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The JSON around a reply, in which the string `{reply}` is replaced by it. It is split once, so that a request only
/// joins bytes.
#[derive(Debug, Clone)]
pub(super) struct ReplyTemplate {
    pieces: Vec<Bytes>,
}

impl ReplyTemplate {
    pub(super) fn new(template: &serde_json::Value) -> ReplyTemplate {
        let text = template.to_string();
        let pieces =
            text.split("\"{reply}\"").map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        ReplyTemplate { pieces }
    }

    fn around(&self, reply: &[u8]) -> Bytes {
        let fixed = self.pieces.iter().map(Bytes::len).sum::<usize>();
        let mut body = BytesMut::with_capacity(fixed + reply.len() * (self.pieces.len() - 1));
        for (number, piece) in self.pieces.iter().enumerate() {
            if number > 0 {
                body.put_slice(reply);
            }
            body.put_slice(piece);
        }
        body.freeze()
    }
}

/// Answers with an actor's reply, unchanged or within a template, but without a byte order mark, which clients do not take
/// for JSON. An empty reply is `null`.
pub(super) fn reply(reply: Bytes, template: Option<&ReplyTemplate>) -> Result<Response, HttpError> {
    let reply = if reply.is_empty() { Bytes::from_static(b"null") } else { reply };
    let document = Document::parse(&reply).map_err(|error| {
        let detail =
            format!("The agent's reply is not JSON, and routes answer JSON: {error}. The turn was kept.");
        HttpError::new(ErrorCode::ReplyNotJson, detail)
    })?;
    let reply = document.bytes();
    let body = template.map_or_else(|| reply.clone(), |template| template.around(reply));
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/errors.md");

    #[test]
    fn a_caller_of_a_route_sees_the_first_line_of_why_an_agent_failed() {
        let seen = |code, text: &str| HttpError::new(code, text).without_stack().detail;
        let thrown = "Error: it broke\n    at Say (agent.ts:2)";
        assert_eq!(seen(ErrorCode::Failed, thrown), "Error: it broke");
        assert_eq!(seen(ErrorCode::NeededUnavailable, thrown), "Error: it broke");
        assert_eq!(seen(ErrorCode::Invalid, "two\nlines"), "two\nlines");
    }

    /// An agent may pass on a file of an editor that writes such a mark.
    #[tokio::test]
    async fn an_answer_has_no_byte_order_mark() {
        let template = ReplyTemplate::new(&json!({ "answer": "{reply}" }));
        for (template, expected) in [(None, r#"{"a":1}"#), (Some(&template), r#"{"answer":{"a":1}}"#)] {
            let answer = reply("\u{feff}{\"a\":1}".into(), template).expect("it is JSON");
            let body = axum::body::to_bytes(answer.into_body(), 1_024).await.expect("it is whole");
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn the_book_tells_the_status_of_each_class_and_whether_a_retry_may_help() {
        for class in ErrorCode::ALL.iter().map(|code| code.class()) {
            let status = match class {
                Class::Setup | Class::Notice => "–".to_owned(),
                class => status_of(class).as_u16().to_string(),
            };
            let later = if class.is_retryable() { "| may succeed |" } else { "| |" };
            let row = format!("| {class} | {status} {later} ");
            assert!(PAGE.contains(&row), "docs/errors.md has no row {row:?}");
        }
    }
}
