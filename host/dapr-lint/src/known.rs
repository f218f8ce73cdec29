//! The component types of Dapr 1.16 to 1.18: from the registrations in their `cmd/daprd/components`, and from the
//! sources and `metadata.yaml` of each type in their `components-contrib`. A type of any of these lines is known.

use super::resource::Category;

/// Bindings: the type without `bindings.`, whether it can be read, and its operations. An empty list means that it can
/// only be read; `None`, that the operations are not listed here.
const BINDINGS: &[(&str, bool, Option<&[&str]>)] = &[
    ("alicloud.dingtalk.webhook", true, None),
    ("alicloud.dubbo", false, None),
    ("alicloud.oss", false, None),
    ("alicloud.sls", false, None),
    ("alicloud.tablestore", false, None),
    ("apns", false, None),
    ("aws.dynamodb", false, None),
    ("aws.kinesis", true, None),
    (
        "aws.s3",
        false,
        Some(&["create", "get", "delete", "list", "presign", "bulkGet", "bulkCreate", "bulkDelete"]),
    ),
    ("aws.ses", false, None),
    ("aws.sns", false, None),
    ("aws.sqs", true, Some(&["create"])),
    (
        "azure.blobstorage",
        false,
        Some(&["create", "get", "delete", "list", "bulkGet", "bulkCreate", "bulkDelete", "presign"]),
    ),
    ("azure.cosmosdb", false, None),
    ("azure.cosmosdb.gremlinapi", false, None),
    ("azure.eventgrid", true, None),
    ("azure.eventhubs", true, None),
    ("azure.openai", false, None),
    ("azure.servicebus.queues", true, None),
    ("azure.servicebusqueues", true, None),
    ("azure.signalr", false, None),
    ("azure.storagequeues", true, None),
    ("cloudflare.queues", false, None),
    ("commercetools", false, None),
    ("cron", true, Some(&[])),
    ("dubbo", false, None),
    (
        "gcp.bucket",
        false,
        Some(&["create", "get", "delete", "list", "sign", "bulkGet", "copy", "rename", "move"]),
    ),
    ("gcp.pubsub", true, None),
    ("graphql", false, None),
    ("http", false, Some(&["create", "get", "head", "post", "put", "patch", "delete", "options", "trace"])),
    ("huawei.obs", false, None),
    ("influx", false, None),
    ("kafka", true, Some(&["create"])),
    ("kitex", false, None),
    ("kubemq", true, None),
    ("kubernetes", true, Some(&[])),
    ("localstorage", false, Some(&["create", "get", "list", "delete"])),
    ("mqtt3", true, Some(&["create"])),
    ("mysql", false, Some(&["exec", "query", "close"])),
    ("postgres", false, Some(&["exec", "query", "close"])),
    ("postgresql", false, Some(&["exec", "query", "close"])),
    ("postmark", false, None),
    ("rabbitmq", true, Some(&["create"])),
    ("redis", false, Some(&["create", "delete", "get", "increment"])),
    ("rethinkdb.statechange", true, Some(&[])),
    ("rocketmq", true, None),
    ("sftp", false, None),
    ("smtp", false, Some(&["create"])),
    ("twilio.sendgrid", false, Some(&["create"])),
    ("twilio.sms", false, Some(&["create"])),
    ("wasm", false, None),
    ("zeebe.command", false, None),
    ("zeebe.jobworker", true, Some(&[])),
];

const PUBSUBS: &[&str] = &[
    "aws.snssqs",
    "azure.eventhubs",
    "azure.servicebus",
    "azure.servicebus.queues",
    "azure.servicebus.topics",
    "azure.servicebusqueues",
    "gcp.pubsub",
    "in-memory",
    "jetstream",
    "kafka",
    "kubemq",
    "mqtt",
    "mqtt3",
    "pulsar",
    "rabbitmq",
    "redis",
    "rocketmq",
    "snssqs",
    "solace.amqp",
];

/// State stores, and whether they can keep actors, which requires transactions.
const STATES: &[(&str, bool)] = &[
    ("aerospike", false),
    ("alicloud.tablestore", false),
    ("aws.dynamodb", true),
    ("azure.blobstorage", false),
    ("azure.cosmosdb", true),
    ("azure.tablestorage", false),
    ("cassandra", false),
    ("cloudflare.workerskv", false),
    ("cockroachdb", true),
    ("coherence", false),
    ("consul", false),
    ("couchbase", false),
    ("etcd", true),
    ("gcp.firestore", false),
    ("hashicorp.consul", false),
    ("hazelcast", false),
    ("in-memory", true),
    ("jetstream", false),
    ("memcached", false),
    ("mongodb", true),
    ("mysql", true),
    ("oci.objectstorage", false),
    ("oracledatabase", true),
    ("postgres", true),
    ("postgresql", true),
    ("ravendb", true),
    ("redis", true),
    ("rethinkdb", false),
    ("sqlite", true),
    ("sqlite3", true),
    ("sqlserver", true),
    ("yugabyte", true),
    ("yugabytedb", true),
    ("zookeeper", false),
];

const SECRET_STORES: &[&str] = &[
    "alicloud.parameterstore",
    "aws.parameterstore",
    "aws.secretmanager",
    "azure.keyvault",
    "gcp.secretmanager",
    "hashicorp.vault",
    "huaweicloud.csms",
    "kubernetes",
    "local.env",
    "local.file",
    "tencentcloud.ssm",
];

/// Types with a second version. All others only have v1.
const SECOND_VERSIONS: &[&str] = &[
    "state.azure.blobstorage",
    "state.cockroachdb",
    "state.etcd",
    "state.postgres",
    "state.postgresql",
    "state.sqlserver",
    "state.yugabyte",
    "state.yugabytedb",
];

/// Settings without which a type does not start, each with its aliases.
const REQUIRED: &[(&str, &[&[&str]])] = &[
    ("bindings.kafka", &[&["brokers"], &["authType", "authRequired"]]),
    ("bindings.twilio.sms", &[&["accountSid"], &["authToken"], &["fromNumber"]]),
    ("pubsub.kafka", &[&["brokers"], &["authType", "authRequired"]]),
    ("pubsub.redis", &[&["redisHost"]]),
    ("secretstores.local.file", &[&["secretsFile"]]),
    ("state.redis", &[&["redisHost"]]),
];

/// Returns `true` for a type of Dapr. `None` if the check knows nothing of the category.
pub(super) fn is_known(category: Category, full_type: &str) -> Option<bool> {
    let (_, name) = full_type.split_once('.')?;
    match category {
        Category::Binding => Some(binding(full_type).is_some()),
        Category::Pubsub => Some(PUBSUBS.contains(&name)),
        Category::State => Some(STATES.iter().any(|(known, _)| *known == name)),
        Category::SecretStore => Some(SECRET_STORES.contains(&name)),
        Category::Other => None,
    }
}

/// Returns `true` if the type has this version. Dapr treats an empty version and v0 as v1.
pub(super) fn has_version(full_type: &str, version: &str) -> bool {
    match version.to_ascii_lowercase().as_str() {
        "v0" | "v1" => true,
        "v2" => SECOND_VERSIONS.contains(&full_type),
        _ => false,
    }
}

/// Returns `true` if a binding type can be read. `None` for an unknown type.
pub(super) fn can_read(full_type: &str) -> Option<bool> {
    binding(full_type).map(|(_, reads, _)| *reads)
}

/// Returns `true` for a binding type that can only be read.
pub(super) fn only_reads(full_type: &str) -> bool {
    operations(full_type).is_some_and(<[_]>::is_empty)
}

/// The operations of an output binding, for the types whose operations are listed.
pub(super) fn operations(full_type: &str) -> Option<&'static [&'static str]> {
    binding(full_type).and_then(|(_, _, operations)| *operations)
}

/// Returns `true` if a state store can keep actors. `None` for an unknown type.
pub(super) fn keeps_actors(full_type: &str) -> Option<bool> {
    let name = full_type.strip_prefix("state.")?;
    STATES.iter().find(|(known, _)| *known == name).map(|(_, transactional)| *transactional)
}

/// The settings that a type needs, each with its aliases.
pub(super) fn required(full_type: &str) -> &'static [&'static [&'static str]] {
    REQUIRED.iter().find(|(known, _)| *known == full_type).map_or(&[], |(_, settings)| settings)
}

fn binding(full_type: &str) -> Option<&'static (&'static str, bool, Option<&'static [&'static str]>)> {
    let name = full_type.strip_prefix("bindings.")?;
    BINDINGS.iter().find(|(known, ..)| *known == name)
}
