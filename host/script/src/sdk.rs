//! What the module `@daca/sdk` has, so that a wrong import is refused before the script is evaluated.
//!
//! A test of `guest/js` compares both lists with the SDK.

use crate::problem::quoted;

/// The values that the SDK exports.
const EXPORTS: &[&str] = &[
    "Failed",
    "Failure",
    "HostError",
    "Invalid",
    "NotFound",
    "actorId",
    "actors",
    "agent",
    "agentType",
    "bindings",
    "config",
    "log",
    "publish",
    "reminders",
    "secrets",
    "state",
    "timers",
    "turnId",
];

/// The types that its declarations export. They may be imported without the word `type`.
const TYPES: &[&str] = &[
    "AgentClass",
    "AgentDefinition",
    "AgentOptions",
    "BindingResponse",
    "Effect",
    "EffectFailure",
    "FailedEffect",
    "HostErrorCode",
    "Registration",
    "Schedule",
    "WakeUps",
];

pub(crate) fn is_value(name: &str) -> bool {
    EXPORTS.contains(&name)
}

pub(crate) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// What to say of a name that it does not have.
pub(crate) fn lacks(name: &str) -> String {
    format!("the SDK has no export `{}`; it has {}", quoted(name), EXPORTS.join(", "))
}
