//! The format of answers: JSON. An error has a text (`detail`) and a stable code (`code`).

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;

use daca_base::json::Document;
use daca_model::CallError;

/// An error in the caller's view.
#[derive(Debug)]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    pub(super) code: Cow<'static, str>,
    pub(super) detail: String,
    /// What to do, if the detail does not say it.
    pub(super) help: Option<String>,
    /// The body has the code even if the error is the agent's.
    pub(super) names_code: bool,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> HttpError {
        HttpError { status, code: code.into(), detail: detail.into(), help: None, names_code: false }
    }

    pub(super) fn with_help(
        status: StatusCode,
        code: &'static str,
        detail: String,
        help: String,
    ) -> HttpError {
        HttpError { help: Some(help), ..HttpError::new(status, code, detail) }
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> HttpError {
        HttpError::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The same in the form of the admin API, whose errors all have a code in the body.
    pub(super) fn naming_code(self) -> HttpError {
        HttpError { names_code: true, ..self }
    }

    /// The whole answer as it is written to a connection that is then closed.
    pub(super) fn as_text(&self) -> String {
        let body = json!({ "detail": self.detail, "code": self.code }).to_string();
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
            status: error.status(),
            code: error.code().to_owned().into(),
            detail: error.to_string(),
            help: None,
            names_code: false,
        }
    }
}

impl IntoResponse for HttpError {
    /// An error of the agent (`invalid`, `not-found`, `failed`) is answered with its text alone, as routes promise to
    /// their callers; an error of the host, and any error of the admin API, has its code beside it. The header
    /// `daca-error` always has the code.
    fn into_response(self) -> Response {
        let HttpError { status, code, detail, help, names_code } = self;
        let from_agent = !names_code && matches!(&*code, "invalid" | "not-found" | "failed");
        let mut body =
            if from_agent { json!({ "detail": detail }) } else { json!({ "detail": detail, "code": code }) };
        if let Some(help) = help {
            body["help"] = help.into();
        }
        let mut response = (status, Json(body)).into_response();
        if let Ok(code) = HeaderValue::from_str(&code) {
            response.headers_mut().insert("daca-error", code);
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // The rest of a body may stay unread, so the connection cannot serve another request. An unauthorised client
        // does not keep a connection.
        const CLOSE: [StatusCode; 4] = [
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::UNAUTHORIZED,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
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

/// Answers with an actor's reply, unchanged or within a template. An empty reply is `null`.
pub(super) fn reply(reply: Bytes, template: Option<&ReplyTemplate>) -> Result<Response, HttpError> {
    let reply = if reply.is_empty() { Bytes::from_static(b"null") } else { reply };
    if let Err(error) = Document::parse(&reply) {
        let detail =
            format!("The agent's reply is not JSON, and routes answer JSON: {error}. The turn was kept.");
        return Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "reply-not-json", detail));
    }
    let body = template.map_or(reply.clone(), |template| template.around(&reply));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
