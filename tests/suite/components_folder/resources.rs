//! Defects of secrets, of resiliency, and of any resource.

use super::case::Change::{Add, Manifest, Remove, Replace};
use super::case::{Case, PUBSUB, RESILIENCY, STORE, SUBSCRIPTION, TWILIO};

pub(super) const CASES: &[Case] = &[
    // Secrets.
    (
        "a secret store that there is not",
        &[Replace(TWILIO, "secretStore: kubernetes", "secretStore: vault")],
        &[("error", "secret-store-missing", "twilio-binding.yaml:", "\"vault\"")],
    ),
    (
        "a permission without a secret store",
        &[Remove("secretstore.yaml"), Manifest("bindings = [", "secrets = [\"key\"]\nbindings = [")],
        &[("error", "secret-store-missing", "agents.toml:14:12", "\"key\"")],
    ),
    (
        "a laptop's secret store, and a component that names none",
        &[
            Replace(TWILIO, "auth:\n  secretStore: kubernetes\n", ""),
            Replace("secretstore.yaml", "secretstores.kubernetes", "secretstores.local.env"),
        ],
        &[("warning", "secret-store-missing", "twilio-binding.yaml:", "outside a cluster it is not loaded")],
    ),
    (
        "a secrets file that is not here",
        &[
            Replace(TWILIO, "secretStore: kubernetes", "secretStore: secretstore"),
            Replace("secretstore.yaml", "secretstores.kubernetes", "secretstores.local.file"),
            Replace(
                "secretstore.yaml",
                "metadata: []",
                "metadata:\n  - {name: secretsFile, value: none.json}",
            ),
        ],
        &[("warning", "secret-missing", "secretstore.yaml:", "\"none.json\"")],
    ),
    (
        "a secrets file without the key",
        &[
            Replace(TWILIO, "secretStore: kubernetes", "secretStore: secretstore"),
            Replace("secretstore.yaml", "secretstores.kubernetes", "secretstores.local.file"),
            Replace(
                "secretstore.yaml",
                "metadata: []",
                "metadata:\n  - {name: secretsFile, value: components/s.json}\n  - {name: multiValued, value: true}",
            ),
            Add("s.json", r#"{"twilio-credentials": {"accountSid": "a", "authToken": "b"}}"#),
        ],
        &[("error", "secret-missing", "twilio-binding.yaml:", "\"fromNumber\"")],
    ),
    // Resources.
    (
        "two components of one name",
        &[Add(
            "z.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: statestore\nspec:\n  type: state.redis\n  version: v1\n  metadata:\n  - name: redisHost\n    value: x\n",
        )],
        &[("error", "duplicate", "z.yaml:4:9", "first in components/statestore.yaml:5:9")],
    ),
    (
        "a component for another app",
        &[Replace(PUBSUB, "- chat-agent", "- other"), Remove(SUBSCRIPTION)],
        &[
            ("note", "out-of-scope", "daca-pubsub.yaml:5:9", "is for other"),
            ("error", "out-of-scope", "agents.toml:13:12", "whose scopes leave out the app \"chat-agent\""),
            ("error", "out-of-scope", "agents.toml:49:15", "\"daca-pubsub\""),
            ("error", "out-of-scope", "agents.toml:52:10", "\"daca-pubsub\""),
        ],
    ),
    (
        "a version that there is not",
        &[Replace(STORE, "version: v1", "version: v3")],
        &[("error", "version-unknown", "statestore.yaml:8:12", "\"v3\"")],
    ),
    (
        "a type of one's own",
        &[Add(
            "own.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: own\nspec:\n  type: bindings.own\n  version: v1\n",
        )],
        &[("note", "type-unknown", "own.yaml:6:9", "bindings.own")],
    ),
    (
        "a kind that Dapr 1.18 has, and one that no Dapr has",
        &[Add(
            "kinds.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: MCPServer\nmetadata: {name: mcp}\n---\napiVersion: dapr.io/v1alpha1\nkind: Componet\nmetadata: {name: slip}\n",
        )],
        &[
            ("note", "kind-unknown", "kinds.yaml:2:7", "from 1.18 on"),
            ("warning", "kind-unknown", "kinds.yaml:6:7", "Componet"),
        ],
    ),
    (
        "a feature that no Dapr has, and those that some have",
        &[Add(
            "config.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: daca}\nspec:\n  features:\n  - {name: HotReload, enabled: false}\n  - {name: HotReloading, enabled: false}\n",
        )],
        &[
            ("note", "kind-unknown", "config.yaml:2:7", "Configuration"),
            ("warning", "feature-unknown", "config.yaml:7:12", "HotReloading"),
        ],
    ),
    (
        "a kind that is not checked",
        &[Add("app.yaml", "# An app.\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\n")],
        &[("note", "kind-unknown", "app.yaml:3:7", "Deployment")],
    ),
    (
        "a Component of no version",
        &[Replace(STORE, "dapr.io/v1alpha1", "dapr.io/v1")],
        &[("error", "invalid", "statestore.yaml:3:7", "\"dapr.io/v1\"")],
    ),
    (
        "a component without a type",
        &[Replace(STORE, "  type: state.redis\n", "")],
        &[("error", "invalid", "statestore.yaml:7:3", "type is missing")],
    ),
    (
        "settings that are no list",
        &[Replace("secretstore.yaml", "metadata: []", "metadata: {a: b}")],
        &[("error", "invalid", "secretstore.yaml:10:13", "should be a list")],
    ),
    (
        "a name that is a path",
        &[Replace("secretstore.yaml", "name: secretstore", "name: a/b")],
        &[("error", "invalid", "secretstore.yaml:6:9", "\"a/b\"")],
    ),
    ("no YAML", &[Add("bad.yaml", "a: b\nc: [d\ne: f\n")], &[("error", "syntax", "bad.yaml:", "not YAML")]),
    ("a key twice", &[Add("bad.yaml", "a: b\na: c\n")], &[("error", "syntax", "bad.yaml:2:1", "duplicate")]),
    ("a text", &[Add("bad.yaml", "hello\n")], &[("error", "invalid", "bad.yaml:1:1", "keys and values")]),
    ("nothing in a file", &[Add("empty.yaml", "# nothing\n---\n")], &[]),
    ("a file of another kind", &[Add("notes.txt", "[")], &[]),
    // Resiliency.
    (
        "no policy for the events of Redis",
        &[Remove(RESILIENCY)],
        &[("error", "messages-lost", "daca-pubsub.yaml:5:9", "1.17")],
    ),
    (
        "a policy that gives up",
        &[Replace(RESILIENCY, "maxRetries: -1", "maxRetries: 3")],
        &[("error", "messages-lost", "resiliency.yaml:21:21", "only a few times")],
    ),
    ("a policy that has no end by default", &[Replace(RESILIENCY, "maxRetries: -1", "maxInterval: 1s")], &[]),
    (
        "a policy for what is sent",
        &[Replace(RESILIENCY, "inbound:", "outbound:")],
        &[("error", "messages-lost", "daca-pubsub.yaml:5:9", "inbound retry")],
    ),
    (
        "a policy that there is not",
        &[Replace(RESILIENCY, "retry: until-handled", "retry: until-then")],
        &[("error", "messages-lost", "daca-pubsub.yaml:5:9", "inbound retry")],
    ),
    (
        "a policy for another app",
        &[Replace(RESILIENCY, "- chat-agent", "- other")],
        &[("error", "messages-lost", "daca-pubsub.yaml:5:9", "inbound retry")],
    ),
    (
        "a policy for all components",
        &[
            Replace(RESILIENCY, "until-handled:", "DefaultComponentRetryPolicy:"),
            Replace(
                RESILIENCY,
                "      daca-pubsub:\n        inbound:\n          retry: until-handled\n",
                "      other: {}\n",
            ),
        ],
        &[],
    ),
    (
        "a Resiliency that Dapr cannot load",
        &[Replace(RESILIENCY, "policies:\n    retries:", "policies: none\n  other:\n    retries:")],
        &[("error", "invalid", "resiliency.yaml:", "should be keys and values")],
    ),
];
