//! Every key of the manifest, for the reference in `docs/reference/manifest.md`.
//!
//! The page's tables are generated from these. A test here compares them with the keys that the parser accepts and with
//! the defaults, and a test of the program compares the page with them.

mod host;
mod table;

use std::fmt::Write as _;

use table::KeyDefault::{None, Required, Value, Words};
use table::key;
pub use table::{Key, KeyDefault, Table};

/// All tables.
pub const TABLES: [Table; 13] = [
    Table {
        name: "agents",
        keys: &[
            key(
                "component",
                Required,
                "the `.wasm` file, or a [script](../guide/scripts.md): a file in JavaScript or TypeScript that imports `@daca/sdk`",
            ),
            key("idle-timeout", Value("10m"), "an actor that was not called for this time is deactivated"),
            key(
                "weight",
                Value("1"),
                "its share of the [processors' time](../concepts/turns.md#processors), and of [what the types share](../operate/shares.md), against the other types; 1 to 1,000",
            ),
            key(
                "storage",
                None,
                "the bytes that all actors of the type may have on disk together (embedded backend)",
            ),
            key(
                "deduplicate",
                Value("state"),
                "where the [dedup log](../concepts/idempotency.md#calls-that-a-sidecar-repeats) of calls between hosts is kept, behind Dapr: `\"state\"` or `\"memory\"`",
            ),
            key("settings", None, "a table of strings, which the agent reads by `wasi:config`"),
            key("permissions", None, "the permissions of the type; see below"),
            key("limits", None, "limits of a turn and of an instance; see below"),
            key("effects", None, "how long its effects are retried, and their order; see below"),
            key("reentrancy", None, "whether a call may enter an actor that waits for a reply; see below"),
            key("dev", None, "how `daca dev` builds the component; see below. Nothing builds a script"),
        ],
    },
    Table {
        name: "agents.permissions",
        keys: &[
            key(
                "publish",
                None,
                "topics, as `PUBSUB/TOPIC`; `PUBSUB/*` permits every topic of the component, and there is no other wildcard",
            ),
            key(
                "bindings",
                None,
                "output bindings, as `BINDING/OPERATION`; `BINDING/*` permits every operation",
            ),
            key("actors", None, "agent types whose actors it may call"),
            key("secrets", None, "secrets that it may read"),
        ],
    },
    Table {
        name: "agents.limits",
        keys: &[
            key(
                "memory",
                Value("16MiB"),
                "all memories of one instance together; not less than those that the component begins with",
            ),
            key(
                "running-time",
                Value("1s"),
                "the agent's own time in a turn; waiting for the host does not count",
            ),
            key("turn-time", Value("30s"), "the whole turn, waiting included"),
            key("queue", Value("64"), "calls that wait for one actor; one more is answered 429"),
            key("reply", Value("4MiB"), "a reply"),
            key("state-value", Value("1MiB"), "one state value"),
            key(
                "state-keys-per-turn",
                Value("1000"),
                "keys that one turn writes or deletes, or reads at once",
            ),
            key(
                "state-bytes-per-turn",
                Value("4MiB"),
                "keys and values that one turn writes, with the data of reminders and timers",
            ),
            key(
                "state-total",
                Value("64MiB"),
                "the bytes that one actor may have on disk (embedded backend); a state store behind a sidecar has its own limits",
            ),
            key(
                "registrations",
                Value("1000"),
                "reminders and timers of one actor; behind a sidecar, timers",
            ),
            key(
                "least-period",
                Value("10ms"),
                "the shortest period of a reminder or timer; one that is registered in the turn of another, or in a call that such a turn makes, is due no sooner",
            ),
            key("effects-per-turn", Value("100"), "events and sent bindings of one turn"),
            key("effect-bytes-per-turn", Value("4MiB"), "their bytes"),
            key("payload", Value("1MiB"), "one event, binding request or call to another actor"),
            key(
                "log-lines-per-turn",
                Value("1000"),
                "lines that one turn may log; further ones are dropped and counted",
            ),
        ],
    },
    Table {
        name: "agents.effects",
        keys: &[
            key(
                "retry-for",
                Value("24h"),
                "how long an effect is retried, from the commit of its turn; then it becomes a dead letter. It has `effect-attempts` in any case",
            ),
            key(
                "backoff",
                Words("`effect-retry-delay` of `[host]`"),
                "the wait before the second attempt; it doubles after each, and is shortened by up to a quarter at random",
            ),
            key("backoff-max", Value("5m"), "the longest wait between two attempts; not less than `backoff`"),
            key(
                "order",
                Value("component"),
                "the effects that wait behind one that cannot be delivered: `\"component\"`, the actor's effects for the same pub/sub component or binding; or `\"strict\"`, all of them",
            ),
        ],
    },
    Table {
        name: "agents.reentrancy",
        keys: &[
            key("enabled", Value("true"), "`false` is the same as no table"),
            key("max-stack-depth", Value("32"), "nested turns of one actor, 1 to 32"),
        ],
    },
    Table {
        name: "agents.dev",
        keys: &[
            key(
                "build",
                Required,
                "the command that builds the component; `sh -c` runs it in the manifest's folder",
            ),
            key(
                "watch",
                Required,
                "files and folders whose change starts a build. The component, what is hidden, and what is named `__pycache__`, `build`, `dist`, `node_modules`, `target` or `venv` do not count",
            ),
        ],
    },
    Table {
        name: "routes",
        keys: &[
            key("method", Required, "`GET`, `POST`, `PUT`, `PATCH` or `DELETE`"),
            key(
                "path",
                Required,
                "`{name}` is a parameter. At most 1,024 bytes, encoded as clients do: `%20`, and never a letter or digit. `/dapr`, `/actors`, `/healthz` and `/readyz` are the host's own",
            ),
            key("agent", Required, "the agent type"),
            key("call", Required, "the method"),
            key(
                "actor-id",
                Required,
                "`{ path = \"PARAMETER\" }`, or `{ field = \"FIELD\" }` of the body, with `default = \"ID\"` for a body without the field",
            ),
            key(
                "payload",
                Words("`\"body\"`; of GET `\"none\"`"),
                "`\"body\"`, `\"none\"`, or `{ field = \"FIELD\" }`",
            ),
            key(
                "reply",
                None,
                "the answer's JSON, in which the string `\"{reply}\"` stands for the agent's reply; without it, the reply as it is",
            ),
            key(
                "invalid",
                None,
                "the detail of answers 400, in place of the reason, which then only goes to the log",
            ),
            key("malformed", None, "the same for a body that is not JSON"),
            key(
                "rate",
                None,
                "the requests of one caller, such as `\"50/s\"`, `\"100/m\"` or `\"1000/h\"`; further ones are answered [429](../errors/rate-exceeded.md). Messages of input bindings do not count, if the sidecar has a token (`APP_API_TOKEN`): without one, anybody can send their headers",
            ),
            key(
                "rate-by",
                Value("actor"),
                "what a caller is: `\"actor\"`, the called actor; `\"peer\"`, the address of the direct peer, which is the proxy behind a proxy, and the sidecar behind a sidecar; or `\"header:NAME\"`, the value of a header, which clients can choose unless a proxy sets it",
            ),
            key(
                "log",
                None,
                "a line for the log when a request arrives, as a [template](#templates) of the body",
            ),
        ],
    },
    Table {
        name: "subscriptions",
        keys: &[
            key("pubsub", Required, "the pub/sub component"),
            key("topic", Required, "the topic"),
            key("path", Required, "where a broker posts the events; without parameters"),
            key("log", None, "a line for the log, as a [template](#templates) of the event's data"),
            key("agent", None, "with `call` and `actor-id`, each event is a call: the agent type"),
            key("call", None, "the method"),
            key("actor-id", None, "as in a route, of the fields of the event's data"),
            key("payload", Value("body"), "as in a route"),
            key(
                "dead-letter",
                None,
                "the topic, as `PUBSUB/TOPIC` without wildcards, for an event that can never be handled; without it, such an event is dropped. Not the topic of the subscription itself",
            ),
            key(
                "attempts",
                Value("5"),
                "attempts when the agent fails, before the event is dead-lettered or given back",
            ),
        ],
    },
    Table {
        name: "input-bindings",
        keys: &[
            key("binding", Required, "the Dapr component"),
            key("path", Required, "the path of a `POST` route without parameters"),
            key(
                "dead-letter",
                Required,
                "the topic, as `PUBSUB/TOPIC` without wildcards, for a message that can never be handled",
            ),
            key(
                "attempts",
                Value("5"),
                "attempts when the agent fails; failures because something is unavailable are retried forever",
            ),
        ],
    },
    Table {
        name: "dapr",
        keys: &[
            key("secret-store", Value("secretstore"), "the component that secrets are read from"),
            key(
                "state-store",
                Value("statestore"),
                "where the hosts of the app keep the records of deployments",
            ),
            key(
                "direct-calls",
                Value("false"),
                "a call of an actor that is active on this host does not pass through the sidecar ([Direct calls](../direct-calls.md))",
            ),
            key(
                "max-body-size",
                Value("4MiB"),
                "the sidecar's `--max-body-size`: the writes of one turn, with its effects, must fit",
            ),
        ],
    },
    host::TABLE,
    Table {
        name: "deploy",
        keys: &[
            key(
                "signers",
                None,
                "public keys, `\"ed25519:…\"`; when there is one, every component must be signed by one of them",
            ),
            key("window", Value("1m"), "how long the failures of a new version are analysed; 1 s to 1 h"),
            key(
                "margin",
                Value("10"),
                "percentage points by which they may exceed those of the previous version; 0 to 100",
            ),
            key("least-turns", Value("10"), "turns of a new version before a verdict; 1 to 1,000,000"),
            key("keep", Value("20"), "versions of each type that are kept for rollbacks; 2 to 1,000"),
            key(
                "versions",
                None,
                "a folder of `.wasm` files, with `.sig` beside them, that may be deployed by their digest",
            ),
            key(
                "compile-time",
                Value("30s"),
                "processor time to compile a component, for each started MiB of it up to 20; 1 s to 1 h",
            ),
            key(
                "compile-memory",
                Value("768MiB"),
                "memory of a process that compiles, of which there are two at most; 64 MiB to 64 GiB",
            ),
        ],
    },
    Table {
        name: "embedded",
        keys: &[
            key(
                "secrets-file",
                None,
                "a JSON file: `{\"name\": \"value\"}` or `{\"name\": {\"key\": \"value\"}}`",
            ),
            key(
                "binding-responses",
                None,
                "what `bindings.invoke` answers, by binding: `{ quotes = \"{\\\"text\\\": \\\"…\\\"}\" }`; a binding that is not listed answers nothing",
            ),
        ],
    },
];

impl Table {
    /// The table of this name.
    pub fn of(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// The rows of the page.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| key | default | meaning |\n|---|---|---|\n");
        for Key { name, default, meaning } in self.keys {
            let default = match default {
                Required => "required".to_owned(),
                None => "none".to_owned(),
                Value(value) => format!("`{value}`"),
                Words(words) => (*words).to_owned(),
            };
            // Writing into a text cannot fail.
            let _ = writeln!(text, "| `{name}` | {default} | {meaning} |");
        }
        text
    }
}

#[cfg(test)]
mod tests;
