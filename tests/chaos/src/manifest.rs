//! The manifest of the hosts: one ledger, reached by calls, by Kafka and by events.

use daca_stack::manifests::{DEAD_MESSAGES, kafka_input, route};
use daca_tests::guest;

/// The agent type.
pub(crate) const TYPE: &str = "Ledger";
/// The guest of the ledgers.
pub(crate) const GUEST: &str = "chaos_ledger";
/// Where Kafka's messages come from.
pub(crate) const KAFKA_TOPIC: &str = "user-messages";
/// Where each entry is announced.
pub(crate) const RECORD_TOPIC: &str = "record";
/// Where one actor tells another.
pub(crate) const TOLD_TOPIC: &str = "told";
/// Where messages and events go that were dead-lettered. There may be none.
pub(crate) const DEAD_LETTER_TOPICS: [&str; 2] = [DEAD_MESSAGES, "told-dead-letter"];

/// The manifest of the host with this name, which its agents write into their entries.
///
/// Effects, messages and events are tried for longer than any fault lasts: what is given up in the end is a violation. What a
/// host still has of an actor that it has lost unheard is gone after a short while; each actor's reminder keeps the other.
pub(crate) fn of(host: &str) -> String {
    let component = guest(GUEST).display().to_string();
    let agent = format!(
        r#"
[host]
effect-attempts = 12

[agents.{TYPE}]
component = {component:?}
idle-timeout = "30s"
settings = {{ host = {host:?} }}

[agents.{TYPE}.permissions]
publish = ["daca-pubsub/{RECORD_TOPIC}", "daca-pubsub/{TOLD_TOPIC}"]
bindings = ["twilio-binding/create"]
actors = ["{TYPE}"]

[[subscriptions]]
pubsub = "daca-pubsub"
topic = "{TOLD_TOPIC}"
path = "/told"
agent = "{TYPE}"
call = "Heard"
actor-id = {{ field = "to" }}
dead-letter = "daca-pubsub/{}"
attempts = 100
"#,
        DEAD_LETTER_TOPICS[1],
    );
    [
        agent,
        route("POST", "/ledger/{actor_id}", TYPE, "Add", ""),
        route("POST", "/page/{actor_id}", TYPE, "Page", ""),
        kafka_input(TYPE, "Add", "", "attempts = 100"),
    ]
    .concat()
}
