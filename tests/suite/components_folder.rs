//! `daca check --components`: a folder of Dapr's components against a manifest.
//!
//! Each case starts from the project's own folder, which is sound, and changes one thing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::{Ended, chat_agent, default_manifest, replaced, run_in};
use tempfile::TempDir;

/// What is done to the folder or the manifest.
enum Change {
    /// In a file, a text is replaced by another.
    Replace(&'static str, &'static str, &'static str),
    /// A file is added.
    Add(&'static str, &'static str),
    /// A file is removed.
    Remove(&'static str),
    /// In the manifest, a text is replaced by another.
    Manifest(&'static str, &'static str),
}

use Change::{Add, Manifest, Remove, Replace};

/// What is wrong, how it comes about, and of each finding the severity, the code, the place and a word. Any error makes the
/// command fail.
type Case =
    (&'static str, &'static [Change], &'static [(&'static str, &'static str, &'static str, &'static str)]);

const STORE: &str = "statestore.yaml";
const PUBSUB: &str = "daca-pubsub.yaml";
const KAFKA: &str = "kafka-binding.yaml";
const TWILIO: &str = "twilio-binding.yaml";
const SUBSCRIPTION: &str = "message-subscription.yaml";
const RESILIENCY: &str = "resiliency.yaml";
const ROUTE: &str = "  - name: route\n    value: \"/receive-message\"\n";

const CASES: &[Case] = &[
    // The actors' state store.
    (
        "a store that does not keep actors",
        &[Replace(STORE, "value: \"true\"", "value: \"false\"")],
        &[("error", "actor-store-missing", "statestore.yaml:5:9", "\"statestore\"")],
    ),
    ("no store", &[Remove(STORE)], &[("error", "actor-store-missing", "components", "no state store")]),
    (
        "two stores of actors",
        &[Add(
            "z.yml",
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: second\nspec:\n  type: state.in-memory\n  version: v1\n  metadata:\n  - name: actorStateStore\n    value: yes\n",
        )],
        &[("error", "actor-store-twice", "z.yml:10:12", "\"statestore\"")],
    ),
    (
        "a store without transactions",
        &[Replace(STORE, "state.redis", "state.memcached")],
        &[("error", "actor-store-unfit", "statestore.yaml:7:9", "state.memcached")],
    ),
    (
        "a store of a type that there is not",
        &[Replace(STORE, "state.redis", "state.rediss")],
        &[("warning", "type-unknown", "statestore.yaml:7:9", "no actor can be called")],
    ),
    // Input bindings.
    (
        "the seed's binding: no route",
        &[Replace(KAFKA, ROUTE, "")],
        &[("error", "route-unanswered", "kafka-binding.yaml:5:9", "probes /kafka-binding")],
    ),
    (
        "a route of another name",
        &[Replace(KAFKA, "value: \"/receive-message\"", "value: receive-messages")],
        &[("error", "route-unanswered", "kafka-binding.yaml:", "/receive-messages")],
    ),
    ("a route without its slash", &[Replace(KAFKA, "\"/receive-message\"", "receive-message")], &[]),
    (
        "a route in another spelling",
        &[Replace(KAFKA, "name: route", "name: Route")],
        &[("error", "route-unanswered", "kafka-binding.yaml:5:9", "has no route")],
    ),
    (
        "a binding that the manifest expects",
        &[Remove(KAFKA)],
        &[("error", "input-missing", "agents.toml:47:11", "\"kafka-binding\"")],
    ),
    (
        "a binding that the manifest does not name, and that answers nothing",
        &[Add(
            "cron.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: ticks\nspec:\n  type: bindings.cron\n  version: v1\n  metadata:\n  - name: schedule\n    value: \"@every 1s\"\n",
        )],
        &[("error", "route-unanswered", "cron.yaml:4:9", "/ticks")],
    ),
    (
        "a binding that the manifest does not name, and that has a route",
        &[Add(
            "cron.yaml",
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: ticks\nspec:\n  type: bindings.cron\n  version: v1\n  metadata:\n  - name: route\n    value: /chat/ticks\n",
        )],
        &[("warning", "input-unlisted", "cron.yaml:10:12", "/chat/ticks")],
    ),
    (
        "an input that is an output",
        &[Replace(KAFKA, "value: \"input\"", "value: \"output\"")],
        &[("error", "wrong-kind", "kafka-binding.yaml:7:9", "which is an output")],
    ),
    (
        "a direction that there is not",
        &[Replace(KAFKA, "value: \"input\"", "value: \"inptu, input\"")],
        &[("error", "setting-invalid", "kafka-binding.yaml:", "\"inptu\"")],
    ),
    // Kafka.
    (
        "no retries",
        &[Replace(
            KAFKA,
            "name: consumeRetryEnabled\n    value: \"true\"",
            "name: consumeRetryEnabled\n    value: no",
        )],
        &[("error", "messages-lost", "kafka-binding.yaml:", "consumeRetryEnabled")],
    ),
    (
        "retries that end",
        &[Replace(
            KAFKA,
            "name: backOffDuration\n    value: \"1s\"",
            "name: backOffMaxRetries\n    value: 5",
        )],
        &[("error", "messages-lost", "kafka-binding.yaml:", "backOffMaxRetries")],
    ),
    (
        "retries that end after a time",
        &[Replace(
            KAFKA,
            "name: backOffDuration\n    value: \"1s\"",
            "name: backOffPolicy\n    value: exponential",
        )],
        &[("error", "messages-lost", "kafka-binding.yaml:", "15 minutes")],
    ),
    (
        "the newest message",
        &[Replace(KAFKA, "value: \"oldest\"", "value: \"newest\"")],
        &[("warning", "messages-skipped", "kafka-binding.yaml:", "newest")],
    ),
    (
        "an offset that there is not",
        &[Replace(KAFKA, "value: \"oldest\"", "value: first")],
        &[("error", "setting-invalid", "kafka-binding.yaml:", "\"first\"")],
    ),
    (
        "headers that HTTP does not allow",
        &[Replace(KAFKA, "name: escapeHeaders", "name: escapeHeader")],
        &[("warning", "partition-stops", "kafka-binding.yaml:5:9", "escapeHeaders")],
    ),
    (
        "headers that mean something to HTTP",
        &[Replace(KAFKA, "name: excludeHeaderMetaRegex", "name: excludeHeaders")],
        &[("warning", "partition-stops", "kafka-binding.yaml:5:9", "excludeHeaderMetaRegex")],
    ),
    (
        "no group",
        &[Replace(KAFKA, "name: consumerGroup", "name: consumersGroup")],
        &[("error", "group-missing", "kafka-binding.yaml:5:9", "consumerGroup")],
    ),
    (
        "no topics",
        &[Replace(KAFKA, "value: \"user-messages\"", "value: \"\"")],
        &[("error", "setting-missing", "kafka-binding.yaml:", "topics")],
    ),
    (
        "no authType",
        &[Replace(KAFKA, "name: authType", "name: auth")],
        &[("error", "setting-missing", "kafka-binding.yaml:5:9", "authType")],
    ),
    // Output bindings.
    (
        "no Twilio",
        &[Remove(TWILIO)],
        &[("error", "output-missing", "agents.toml:14:13", "\"twilio-binding\"")],
    ),
    (
        "an operation that there is not",
        &[Manifest("twilio-binding/create", "twilio-binding/send")],
        &[("error", "operation-unknown", "agents.toml:14:13", "use one of: create")],
    ),
    ("every operation", &[Manifest("twilio-binding/create", "twilio-binding/*")], &[]),
    (
        "an output that is an input",
        &[Manifest("\"twilio-binding/create\"", "\"twilio-binding/create\", \"kafka-binding/create\"")],
        &[("error", "wrong-kind", "agents.toml:14:38", "which is an input")],
    ),
    (
        "an output that is a store",
        &[Manifest("twilio-binding/create", "statestore/create")],
        &[("error", "wrong-kind", "agents.toml:14:13", "state store")],
    ),
    (
        "a Twilio that may be silent for long",
        &[Replace(TWILIO, "value: \"8s\"", "value: \"1m30s\"")],
        &[("warning", "slow-binding", "twilio-binding.yaml:", "1m30s")],
    ),
    (
        "a time that is none",
        &[Replace(TWILIO, "value: \"8s\"", "value: soon")],
        &[("error", "setting-invalid", "twilio-binding.yaml:", "\"soon\"")],
    ),
    // Topics.
    (
        "no pub/sub",
        &[Remove(PUBSUB)],
        &[
            ("error", "pubsub-missing", "agents.toml:13:12", "an agent may publish to"),
            ("error", "pubsub-missing", "agents.toml:49:15", "dead letters go to"),
            ("error", "pubsub-missing", "agents.toml:52:10", "a subscription is to"),
            ("error", "pubsub-missing", "message-subscription.yaml:10:9", "a subscription is to"),
        ],
    ),
    (
        "a dead letter to a store",
        &[Manifest("daca-pubsub/user-messages-dead-letter", "statestore/dead")],
        &[("error", "wrong-kind", "agents.toml:49:15", "\"statestore\", which is a state store")],
    ),
    (
        "a subscription whose path differs",
        &[Replace(SUBSCRIPTION, "default: /subscribe", "default: /events")],
        &[("warning", "subscription-ignored", "message-subscription.yaml:15:14", "\"/events\"")],
    ),
    (
        "a subscription with what the manifest cannot say",
        &[Replace(SUBSCRIPTION, "  routes:", "  deadLetterTopic: dead\n  routes:")],
        &[(
            "warning",
            "subscription-ignored",
            "message-subscription.yaml:10:9",
            "deadLetterTopic has no effect",
        )],
    ),
    (
        "two subscriptions to one topic",
        &[Add(
            "more.yaml",
            "---\napiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata:\n  name: more\nspec:\n  pubsubname: daca-pubsub\n  topic: user-chat\n  route: /subscribe\n",
        )],
        &[("error", "subscription-ignored", "more.yaml:5:9", "Dapr keeps one")],
    ),
    (
        "a subscription that nothing answers",
        &[
            Replace(SUBSCRIPTION, "topic: user-chat", "topic: other"),
            Replace(SUBSCRIPTION, "default: /subscribe", "default: /other"),
        ],
        &[("error", "route-unanswered", "message-subscription.yaml:15:14", "topic = \"other\"")],
    ),
    (
        "a subscription that a route answers",
        &[
            Replace(SUBSCRIPTION, "topic: user-chat", "topic: other"),
            Replace(SUBSCRIPTION, "default: /subscribe", "default: /receive-message"),
        ],
        &[("warning", "route-unanswered", "message-subscription.yaml:15:14", "no subscription")],
    ),
    (
        "no redelivery",
        &[Replace(PUBSUB, "value: \"15s\"", "value: 0")],
        &[("error", "messages-lost", "daca-pubsub.yaml:", "redeliverInterval is 0")],
    ),
    (
        "redelivery before the turn is over",
        &[
            Replace(PUBSUB, "value: \"60s\"", "value: \"10000\""),
            Manifest(
                "path = \"/subscribe\"",
                "path = \"/subscribe\"\nagent = \"ChatAgent\"\ncall = \"ProcessMessage\"\nactor-id = { field = \"actor_id\" }",
            ),
        ],
        &[("warning", "messages-repeated", "daca-pubsub.yaml:", "after 10s, while its turn may take 30s")],
    ),
    // Topics that are kept from the app.
    (
        "topics that are not allowed",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: allowedTopics, value: 'user-chat-2, user-messages-dead-letter'}\n",
        )],
        &[
            (
                "error",
                "topic-not-allowed",
                "agents.toml:13:12",
                "allowedTopics (components/daca-pubsub.yaml:10:34) does not list the topic",
            ),
            ("error", "topic-not-allowed", "agents.toml:52:10", "a subscription is to"),
        ],
    ),
    (
        "a dead letter that is not allowed",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: AllowedTopics, value: 'other, user-chat'}\n",
        )],
        &[("error", "topic-not-allowed", "agents.toml:49:15", "\"daca-pubsub/user-messages-dead-letter\"")],
    ),
    (
        "topics that are allowed",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: allowedTopics, value: 'user-chat, user-messages-dead-letter'}\n",
        )],
        &[],
    ),
    (
        "a list of allowed topics that is empty",
        &[Replace(PUBSUB, "  metadata:\n", "  metadata:\n  - {name: allowedTopics, value: ''}\n")],
        &[],
    ),
    (
        "a scope for publishing without a topic",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: publishingScopes, value: 'other=x;chat-agent = user-chat'}\n",
        )],
        &[(
            "error",
            "topic-not-allowed",
            "agents.toml:49:15",
            "publishingScopes (components/daca-pubsub.yaml:10:37) does not give",
        )],
    ),
    (
        "a scope for publishing, in two entries",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: publishingScopes, value: 'chat-agent=user-chat;{appID}=user-messages-dead-letter'}\n",
        )],
        &[],
    ),
    (
        "a scope that leaves nothing",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: subscriptionScopes, value: 'chat-agent='}\n",
        )],
        &[("error", "topic-not-allowed", "agents.toml:52:10", "subscriptionScopes")],
    ),
    (
        "scopes of other apps",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: publishingScopes, value: 'other=a'}\n  - {name: subscriptionScopes, value: 'chat-agent;other='}\n",
        )],
        &[],
    ),
    (
        "a protected topic",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: protectedTopics, value: 'user-chat'}\n  - {name: subscriptionScopes, value: 'chat-agent=user-chat'}\n",
        )],
        &[(
            "error",
            "topic-not-allowed",
            "agents.toml:13:12",
            "add \"chat-agent=user-chat\" to publishingScopes",
        )],
    ),
    (
        "a protected topic with scopes",
        &[Replace(
            PUBSUB,
            "  metadata:\n",
            "  metadata:\n  - {name: protectedTopics, value: 'user-chat'}\n  - {name: subscriptionScopes, value: 'chat-agent=user-chat'}\n  - {name: publishingScopes, value: 'chat-agent=user-chat,user-messages-dead-letter'}\n",
        )],
        &[],
    ),
    (
        "every topic, of which some may be published",
        &[
            Replace(
                PUBSUB,
                "  metadata:\n",
                "  metadata:\n  - {name: publishingScopes, value: 'chat-agent=user-messages-dead-letter'}\n",
            ),
            Manifest("daca-pubsub/user-chat\"", "daca-pubsub/*\""),
        ],
        &[],
    ),
    (
        "every topic, of which none may be published",
        &[
            Replace(
                PUBSUB,
                "  metadata:\n",
                "  metadata:\n  - {name: allowedTopics, value: 'user-chat, user-messages-dead-letter'}\n  - {name: publishingScopes, value: 'chat-agent=other'}\n",
            ),
            Manifest("daca-pubsub/user-chat\"", "daca-pubsub/*\""),
        ],
        &[
            ("error", "topic-not-allowed", "agents.toml:13:12", "allows the app \"chat-agent\" no topic"),
            ("error", "topic-not-allowed", "agents.toml:49:15", "publishingScopes"),
        ],
    ),
    (
        "allowed topics that are not written down",
        &[
            Replace(
                PUBSUB,
                "  metadata:\n",
                "  metadata:\n  - {name: allowedTopics, secretKeyRef: {name: s, key: k}}\n  - {name: publishingScopes, envRef: X}\n",
            ),
            Replace(PUBSUB, "spec:\n", "auth: {secretStore: kubernetes}\nspec:\n"),
        ],
        &[],
    ),
    (
        "a subscription in the folder to a topic that is not allowed",
        &[
            Replace(
                PUBSUB,
                "  metadata:\n",
                "  metadata:\n  - {name: subscriptionScopes, value: chat-agent=user-chat}\n",
            ),
            Replace(SUBSCRIPTION, "topic: user-chat", "topic: other"),
        ],
        &[("error", "topic-not-allowed", "message-subscription.yaml:10:9", "\"daca-pubsub/other\"")],
    ),
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

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// A folder with the default manifest, and the project's components in `components`, changed.
fn folder(changes: &[Change]) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    let components = folder.path().join("components");
    std::fs::create_dir(&components)?;
    for file in std::fs::read_dir(project().join("components"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), components.join(file.file_name()))?;
        }
    }
    let mut manifest = default_manifest();
    for change in changes {
        match change {
            Replace(file, part, by) => {
                let file = components.join(file);
                std::fs::write(&file, replaced(&std::fs::read_to_string(&file)?, part, by)?)?;
            }
            Add(file, text) => std::fs::write(components.join(file), text)?,
            Remove(file) => std::fs::remove_file(components.join(file))?,
            Manifest(part, by) => manifest = replaced(&manifest, part, by)?,
        }
    }
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    Ok(folder)
}

fn assert_found(what: &str, ended: &Ended, expected: &[(&str, &str, &str, &str)]) {
    let Ended { code, stdout, stderr } = ended;
    let fails = expected.iter().any(|(severity, ..)| *severity == "error");
    assert_eq!(*code, Some(i32::from(fails)), "{what}: {stderr}");
    assert_eq!(stdout.ends_with("agents.toml is valid.\n"), !fails, "{what}: {stdout}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let lines = stderr.lines().collect::<Vec<_>>();
    // Each finding is one line and one line of help.
    assert_eq!(lines.len(), 2 * expected.len(), "{what}: {stderr}");
    assert!(lines.iter().skip(1).step_by(2).all(|line| line.starts_with("  help: ")), "{what}: {stderr}");
    for (severity, code, place, word) in expected {
        let beginning = format!("{severity}[components-{code}]: ");
        let found = lines.chunks(2).any(|two| {
            let rest = two[0].strip_prefix(&beginning).unwrap_or_default();
            rest.trim_start_matches("components/").starts_with(place) && two.concat().contains(word)
        });
        assert!(found, "{what}: {beginning}{place} … {word:?} is not in:\n{stderr}");
    }
}

#[tokio::test]
async fn each_defect_of_a_folder_is_found() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for (what, changes, expected) in CASES {
        let folder = folder(changes).with_context(|| what.to_string())?;
        let ended = run_in(folder.path(), ["check", "--components", "components"]).await?;
        // All cases run, so that one failure does not hide the next.
        if std::panic::catch_unwind(|| assert_found(what, &ended, expected)).is_err() {
            failures.push(what);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
    Ok(())
}

#[tokio::test]
async fn the_projects_own_components_are_sound() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let manifest = folder.path().join("agents.toml");
    std::fs::write(&manifest, default_manifest())?;
    let manifest = manifest.display().to_string();
    for (components, secrets) in
        [("components", "not used by the manifest"), ("components/local", "has secrets of twilio-binding")]
    {
        // From the project's folder, where the sidecar of a laptop starts as well.
        let arguments = ["check", "--manifest", &manifest, "--components", components];
        let Ended { code, stdout, stderr } = run_in(&project(), arguments).await?;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{components}: {stdout}");
        for line in [
            format!("components in {components} for the app chat-agent\n"),
            "publishes to user-chat; delivers user-chat; publishes dead letters to user-messages-dead-letter\n".into(),
            "delivers to POST /receive-message\n".into(),
            "keeps the actors' state\n".into(),
            "may be asked to create\n".into(),
            "subscription to daca-pubsub/user-chat at /subscribe\n".into(),
            "resiliency of daca-pubsub\n".into(),
            format!("{secrets}\n"),
        ] {
            assert!(stdout.contains(&line), "{line:?} is not in:\n{stdout}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_named_once() -> anyhow::Result<()> {
    let folder = folder(&[])?;
    std::fs::create_dir(folder.path().join("empty"))?;
    std::fs::create_dir(folder.path().join("large"))?;
    std::fs::write(folder.path().join("large/a.yaml"), "#".repeat((1 << 20) + 1))?;
    std::fs::create_dir(folder.path().join("latin1"))?;
    std::fs::write(folder.path().join("latin1/a.yaml"), b"a: caf\xe9\n")?;
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("latin1/b.yaml"))?;
    for (components, words) in [
        ("nowhere", &["No such file"][..]),
        ("agents.toml", &["Not a directory"]),
        ("empty", &["no YAML files"]),
        ("large", &["more than 1 MiB"]),
        ("latin1", &["UTF-8", "not a regular file"]),
    ] {
        let ended = run_in(folder.path(), ["check", "--components", components]).await?;
        let Ended { code, stderr, .. } = ended;
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(stderr.matches("error[components-unreadable]: ").count(), words.len(), "{stderr}");
        assert_eq!(stderr.matches("error[").count(), words.len(), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    }
    Ok(())
}

/// What would take for ever, or all memory, ends at once with a finding.
#[tokio::test]
async fn a_file_that_is_a_trap_is_refused() -> anyhow::Result<()> {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        laughs.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
    }
    for (what, text) in [
        ("aliases of aliases", laughs),
        ("depth", "[".repeat(500_000)),
        ("depth of blocks", "- ".repeat(100_000)),
        ("many documents", "---\na: b\n".repeat(50_000)),
        ("an endless key", "a".repeat(1_000_000)),
        ("an alias to itself", "a: &a [*a]\n".to_owned()),
        ("control characters", "a: \u{1}\u{0}\n".to_owned()),
    ] {
        let folder = folder(&[])?;
        std::fs::write(folder.path().join("components/trap.yaml"), text)?;
        let began = std::time::Instant::now();
        let Ended { code, stderr, .. } =
            run_in(folder.path(), ["check", "--components", "components"]).await?;
        assert_eq!(code, Some(1), "{what}: {stderr}");
        assert!(stderr.contains("components/trap.yaml:"), "{what}: {stderr}");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        assert!(stderr.len() < 10_000 && stderr.matches("error[").count() == 1, "{what}: {stderr}");
        assert!(began.elapsed().as_secs() < 30, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn the_app_decides_which_components_count() -> anyhow::Result<()> {
    let folder = folder(&[])?;
    let arguments = ["check", "--components", "components", "--app-id", "another"];
    let Ended { code, stderr, .. } = run_in(folder.path(), arguments).await?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error[components-out-of-scope]: agents.toml:13:12: "), "{stderr}");
    assert!(stderr.contains("\"another\""), "{stderr}");
    // Without components there is no app.
    let Ended { code, .. } = run_in(folder.path(), ["check", "--app-id", "another"]).await?;
    assert_eq!(code, Some(2));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_agents_and_with_components_is_said_at_once() -> anyhow::Result<()> {
    let component = chat_agent().display().to_string();
    let folder = folder(&[Remove(STORE)])?;
    let manifest = replaced(&default_manifest(), &component, "missing.wasm")?;
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    let Ended { code, stderr, .. } = run_in(folder.path(), ["check", "--components", "components"]).await?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("component-missing"), "{stderr}");
    assert!(stderr.contains("error[components-actor-store-missing]"), "{stderr}");
    Ok(())
}
