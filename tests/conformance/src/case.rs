//! The form of a case, which `README.md` describes, and the cases of `cases/`.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Cases that belong together: a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// Something that must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What must hold, as a sentence.
    pub name: String,
    pub(crate) steps: Vec<Step>,
}

/// One step of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Calls a method by the admin port.
    Call(Call),
    /// Sends a request to a route.
    Request(Request),
    /// Waits until the effects of an actor are these.
    Effects(Effects),
    /// Waits for a line of an actor's log.
    Logs(Logs),
    /// Waits until an actor is not active.
    Inactive(String),
    /// Deploys the agent with the next label of its schema to an agent type.
    Deploy(String),
}

/// A call of a method.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// `TYPE/ID`.
    pub(crate) actor: String,
    pub(crate) method: String,
    /// Without one, no bytes are sent.
    #[serde(default, deserialize_with = "present")]
    pub(crate) payload: Option<Value>,
    /// A text that is sent as it is, in place of the payload.
    pub(crate) raw: Option<String>,
    /// The reply that must come.
    #[serde(default, deserialize_with = "present")]
    pub(crate) reply: Option<Value>,
    /// The error that must come, in place of a reply.
    pub(crate) error: Option<ExpectedError>,
    /// A name for the reply, to compare later ones with.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
    /// Repeats the call until the answer is right.
    #[serde(default)]
    pub(crate) eventually: bool,
}

/// A request to a route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// `METHOD PATH`.
    pub(crate) line: String,
    #[serde(default, deserialize_with = "present")]
    pub(crate) body: Option<Value>,
    pub(crate) raw: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) reply: Option<Value>,
    pub(crate) error: Option<ExpectedError>,
}

/// An error that must be answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedError {
    pub(crate) status: u16,
    pub(crate) code: Option<Value>,
    pub(crate) detail: Option<Value>,
}

/// The effects of an actor, oldest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Effects {
    pub(crate) actor: String,
    /// Fields of each.
    pub(crate) are: Vec<Value>,
}

/// A line of an actor's log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Logs {
    pub(crate) actor: String,
    /// Fields of the line.
    pub(crate) line: Value,
}

/// `null` is a value, and no field is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// All cases, by file.
pub fn groups() -> anyhow::Result<Vec<Group>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            serde_json::from_str(&text).with_context(|| file.display().to_string())
        })
        .collect()
}
