//! What a host or a sidecar answered, read the same way wherever it came from.

use anyhow::Context as _;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// An answer over HTTP.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header `daca-error`, the stable code of an error.
    pub code: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as JSON; text that is not JSON is a JSON string.
    pub body: Value,
}

impl Answer {
    /// Sends a request, and reads the answer.
    pub async fn of(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer::new(status, headers, response.text().await?))
    }

    /// Reads an answer as it came over the wire, with its length known.
    pub fn of_text(text: &str) -> anyhow::Result<Answer> {
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text:?}"))?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
        };
        Ok(Answer::new(status.parse()?, lines.filter_map(header).collect(), body.to_owned()))
    }

    fn new(status: StatusCode, headers: HeaderMap, body: String) -> Answer {
        let mut answer = Answer { status, code: None, headers, body: json_or_text(body) };
        answer.code = answer.header("daca-error").map(str::to_owned);
        answer
    }

    /// The status and the stable code of an error, to compare both at once.
    pub fn outcome(&self) -> (u16, Option<&str>) {
        (self.status.as_u16(), self.code.as_deref())
    }

    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The text of an error.
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

/// Text as JSON: of a body, or of a line of the log. Text that is not JSON is a JSON string.
pub fn json_or_text(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
