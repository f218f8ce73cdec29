//! Defects of pub/sub components and subscriptions.

use super::case::Change::{Add, Manifest, Remove, Replace};
use super::case::{Case, PUBSUB, SUBSCRIPTION};

pub(super) const CASES: &[Case] = &[
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
];
