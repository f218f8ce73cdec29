//! Every key of the manifest, for the reference in `docs/reference/manifest.md`.
//!
//! The page's tables are made from this one. A test here holds it against what the manifest's reader takes and against the defaults,
//! and a test of the program holds the page against it.

use std::fmt::Write as _;

/// A table of the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, as the page's markers have it: the path without the part that is chosen, such as `agents.limits`.
    pub name: &'static str,
    /// Its keys, in the order of the page.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What holds without it.
    pub default: Default,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

/// What holds without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The key must be there.
    Required,
    /// Nothing.
    None,
    /// A value, as it is written without quotation marks.
    Value(&'static str),
    /// A value that depends on something, in words.
    Words(&'static str),
}

const fn key(name: &'static str, default: Default, meaning: &'static str) -> Key {
    Key { name, default, meaning }
}

use self::Default::{None, Required, Value, Words};

/// All tables.
pub const TABLES: [Table; 12] = [
    Table {
        name: "agents",
        keys: &[
            key("component", Required, "the `.wasm` file"),
            key("idle-timeout", Value("10m"), "an actor that was not called for so long is deactivated"),
            key(
                "deduplicate",
                Value("state"),
                "where the [dedup log](../concepts/idempotency.md#calls-that-a-sidecar-repeats) of hosts' calls lies, behind Dapr: `\"state\"` or `\"memory\"`",
            ),
            key("settings", None, "a table of strings, which the agent reads by `wasi:config`"),
            key("permissions", None, "what the type may reach; see below"),
            key("limits", None, "bounds of a turn and of an instance; see below"),
            key("reentrancy", None, "whether a call may enter an actor that waits for one; see below"),
            key("dev", None, "how `daca dev` builds the component; see below"),
        ],
    },
    Table {
        name: "agents.permissions",
        keys: &[
            key(
                "publish",
                None,
                "topics, as `PUBSUB/TOPIC`; `PUBSUB/*` permits every topic of the component",
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
            key("memory", Value("16MiB"), "all memories of one instance together"),
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
                "what one actor may have on disk (embedded backend); a state store behind a sidecar has its own limits",
            ),
            key("effects-per-turn", Value("100"), "events and sent bindings of one turn"),
            key("effect-bytes-per-turn", Value("4MiB"), "their bytes"),
            key("payload", Value("1MiB"), "one event, binding request or call to another actor"),
            key(
                "log-lines-per-turn",
                Value("1000"),
                "lines that one turn may log; further ones are left out and counted",
            ),
        ],
    },
    Table {
        name: "agents.reentrancy",
        keys: &[
            key("enabled", Value("true"), "`false` is the same as no table"),
            key("max-stack-depth", Value("32"), "turns of one actor within one another, 1 to 32"),
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
                "files and folders whose change starts a build; folders named `target` and hidden ones do not count",
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
                "`{name}` is a parameter. `/dapr`, `/actors`, `/healthz` and `/readyz` are the host's own",
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
                "the detail of answers 400, in place of the reason, which then goes to the log alone",
            ),
            key("malformed", None, "the same for a body that is not JSON"),
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
            key("path", Required, "where a broker posts the events"),
            key("log", None, "a line for the log, as a [template](#templates) of the event's data"),
            key("agent", None, "with `call` and `actor-id`, each event is a call: the agent type"),
            key("call", None, "the method"),
            key("actor-id", None, "as in a route, of the fields of the event's data"),
            key("payload", Value("body"), "as in a route"),
            key(
                "dead-letter",
                None,
                "the topic, as `PUBSUB/TOPIC`, for an event that can never be handled; without it, such an event is dropped. Not the topic of the subscription itself",
            ),
            key(
                "attempts",
                Value("5"),
                "tries when the agent fails, before the event is dead-lettered or given back",
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
                "the topic, as `PUBSUB/TOPIC`, for a message that can never be handled",
            ),
            key(
                "attempts",
                Value("5"),
                "tries when the agent fails; what fails because something is away is retried for ever",
            ),
        ],
    },
    Table {
        name: "dapr",
        keys: &[
            key("secret-store", Value("secretstore"), "the component that secrets are read from"),
            key("state-store", Value("statestore"), "where the hosts of the app keep what was deployed"),
            key(
                "direct-calls",
                Value("false"),
                "a call of an actor that is active on this host does not pass through the sidecar ([Direct calls](../direct-calls.md))",
            ),
        ],
    },
    Table {
        name: "host",
        keys: &[
            key(
                "max-turns-in-flight",
                Value("16384"),
                "calls that wait or run, of all actors; one more is answered 503",
            ),
            key(
                "max-active-actors",
                Value("200000"),
                "active actors; beyond it those that were idle longest are deactivated early",
            ),
            key(
                "max-live-instances",
                Words("`8192`, or what `vm.max_map_count` allows if that is less"),
                "instances in memory; an actor may be active without one",
            ),
            key(
                "max-connections",
                Value("10000"),
                "connections. The longest idle one makes room for a further one. When none is idle, further ones serve health alone. Behind a sidecar, connections from this machine count by themselves",
            ),
            key(
                "max-connections-per-peer",
                Words("half of `max-connections`"),
                "those of one address on another machine",
            ),
            key(
                "max-pending-effects",
                Value("10000"),
                "effects that wait; [backpressure](../concepts/effects.md#backpressure)",
            ),
            key("max-pending-effect-bytes", Value("256MiB"), "their bytes; any size"),
            key(
                "max-body",
                Value("4MiB"),
                "a body; a longer one is answered 413. An event that is longer is dropped or dead-lettered",
            ),
            key(
                "max-held-body-bytes",
                Words("`256MiB`, or four times `max-body` if that is more"),
                "all bodies that arrive, or whose calls wait or run; one more is answered 503. Behind a sidecar, half of them for calls from this machine. Not less than `max-body`",
            ),
            key(
                "body-time",
                Value("60s"),
                "when a whole body must be there, else 408; and when an answer must be read; at most 1 h",
            ),
            key(
                "least-body-rate",
                Value("4KiB"),
                "what a body brings, and what is read of an answer, each second at least, after five seconds",
            ),
            key("shutdown-grace", Value("10s"), "how long a shutdown waits for turns and effects"),
            key("effect-attempts", Value("5"), "tries to deliver an effect"),
            key("effect-retry-delay", Value("200ms"), "the wait before the second try; doubled after each"),
        ],
    },
    Table {
        name: "deploy",
        keys: &[
            key(
                "signers",
                None,
                "public keys, `\"ed25519:…\"`; when there is one, every component must be signed by one of them",
            ),
            key("window", Value("1m"), "how long the failures of a new version are counted; 1 s to 1 h"),
            key(
                "margin",
                Value("10"),
                "percentage points by which they may exceed those of the version before; 0 to 100",
            ),
            key("least-turns", Value("10"), "turns of a new version before it is judged; 1 to 1,000,000"),
            key("keep", Value("20"), "versions of each type that are kept for going back; 2 to 1,000"),
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
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::file;

    /// The keys that a table takes: serde names them all when it meets another one.
    fn taken<T: DeserializeOwned>() -> BTreeSet<String> {
        let error = toml::from_str::<T>("no-key-at-all = 1").err().map(|error| error.message().to_owned());
        let error = error.unwrap_or_default();
        let expected = error.split_once("expected").map(|(_, expected)| expected).unwrap_or_default();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn listed(name: &str) -> BTreeSet<String> {
        let keys = Table::of(name).map(|table| table.keys).unwrap_or_default();
        keys.iter().map(|key| key.name.to_owned()).collect()
    }

    #[test]
    fn every_key_is_listed_and_no_other() {
        assert_eq!(listed("agents"), taken::<file::Agent>());
        assert_eq!(listed("agents.permissions"), taken::<file::Permissions>());
        assert_eq!(listed("agents.limits"), taken::<crate::AgentLimits>());
        assert_eq!(listed("agents.reentrancy"), taken::<file::Reentrancy>());
        assert_eq!(listed("agents.dev"), taken::<file::Dev>());
        assert_eq!(listed("routes"), taken::<file::Route>());
        assert_eq!(listed("subscriptions"), taken::<file::Subscription>());
        assert_eq!(listed("input-bindings"), taken::<file::InputBinding>());
        assert_eq!(listed("dapr"), taken::<file::Dapr>());
        assert_eq!(listed("host"), taken::<crate::HostLimits>());
        assert_eq!(listed("deploy"), taken::<file::Deploy>());
        assert_eq!(listed("embedded"), taken::<file::Embedded>());
        let tables = taken::<file::Manifest>();
        let listed = TABLES.iter().filter_map(|table| table.name.split('.').next());
        assert_eq!(tables, listed.map(str::to_owned).collect());
    }

    /// The table's defaults, written out as a manifest would.
    fn defaults(name: &str) -> String {
        let mut text = String::new();
        for key in Table::of(name).map(|table| table.keys).unwrap_or_default() {
            if let Value(value) = key.default {
                let is_bare = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
                let value = if is_bare { value.to_owned() } else { format!("{value:?}") };
                let _ = writeln!(text, "{} = {value}", key.name);
            }
        }
        text
    }

    #[test]
    fn the_defaults_are_those_that_hold() {
        fn same<T: DeserializeOwned + std::fmt::Debug>(name: &str) {
            let [written, left_out] = [defaults(name), String::new()].map(|text| toml::from_str::<T>(&text));
            assert_eq!(format!("{written:?}"), format!("{left_out:?}"), "{name}");
            assert!(written.is_ok(), "{name}: {written:?}");
        }
        same::<crate::HostLimits>("host");
        same::<crate::AgentLimits>("agents.limits");
        same::<file::Deploy>("deploy");
        same::<file::Dapr>("dapr");
        same::<file::Reentrancy>("agents.reentrancy");
    }
}
