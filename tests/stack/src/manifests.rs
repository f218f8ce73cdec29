//! Parts of the manifests of hosts beside these servers. A test puts them behind an agent type of its own.

/// The topic of dead letters.
pub const DEAD_MESSAGES: &str = "user-messages-dead-letter";

/// A route to a method of the actor that the path names as `{actor_id}`; `more` are further lines.
pub fn route(method: &str, path: &str, agent: &str, call: &str, more: &str) -> String {
    format!(
        r#"
[[routes]]
method = "{method}"
path = "{path}"
agent = "{agent}"
call = "{call}"
actor-id = {{ path = "actor_id" }}
{more}
"#
    )
}

/// The way of Kafka's messages to a method of the actor that each names. `route` and `binding` are further lines of the two.
pub fn kafka_input(agent: &str, call: &str, route: &str, binding: &str) -> String {
    format!(
        r#"
[[routes]]
method = "POST"
path = "/receive-message"
agent = "{agent}"
call = "{call}"
actor-id = {{ field = "actor_id" }}
payload = {{ field = "message" }}
{route}

[[input-bindings]]
binding = "kafka-binding"
path = "/receive-message"
dead-letter = "daca-pubsub/{DEAD_MESSAGES}"
{binding}
"#
    )
}
