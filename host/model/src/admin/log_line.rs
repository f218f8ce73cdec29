//! A line of the host's log, as `GET /logs` has it.

use serde::{Deserialize, Serialize};

/// A line. The host writes more fields than these, which are those that `daca logs` shows to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The time, as RFC 3339.
    pub timestamp: String,
    /// The level, such as `INFO`.
    pub level: String,
    /// The text.
    pub message: String,
    /// The stable code, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The part of the host that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The turn in which it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<LogSpan>,
    /// The agent type that it is about, outside of a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// The actor that it is about, outside of a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
}

/// The turn of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpan {
    /// The agent type.
    pub agent_type: String,
    /// The actor's id.
    pub actor_id: String,
    /// The turn. A smoke test of a version has none.
    #[serde(default = "smoke_test")]
    pub turn: String,
    /// The first digits of the component's digest.
    pub component: String,
}

fn smoke_test() -> String {
    "smoke-test".to_owned()
}
