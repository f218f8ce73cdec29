//! Defects of the actors' state store, and of input and output bindings.

use super::case::Change::{Add, Manifest, Remove, Replace};
use super::case::{Case, KAFKA, ROUTE, STORE, TWILIO};

pub(super) const CASES: &[Case] = &[
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
];
