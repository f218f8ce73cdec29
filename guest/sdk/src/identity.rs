//! The identity of this actor.

use crate::rt::bindings::actor::daca::agent::identity as host;

/// The agent type, such as `ChatAgent`.
pub fn agent_type() -> String {
    host::agent_type()
}

/// The id of the actor within its type, such as `user1`.
pub fn actor_id() -> String {
    host::actor_id()
}

/// The id of the current call: the field `turn` of the host's log lines.
pub fn turn_id() -> String {
    host::turn_id()
}
