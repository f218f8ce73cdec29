//! The manifest as written: one struct for each table, with the defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;

use super::Problems;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) host: HostLimits,
    #[serde(default)]
    pub(super) embedded: Embedded,
    #[serde(default)]
    pub(super) agents: BTreeMap<Spanned<String>, Agent>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    #[serde(default)]
    pub(super) subscriptions: Vec<Subscription>,
}

/// Bounds on the host as a whole: the table `[host]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostLimits {
    /// Calls that wait or run at the same time, over all actors. One more is answered 503.
    pub max_turns_in_flight: usize,
    /// Live instances at the same time. The host lowers it to what `vm.max_map_count` allows.
    pub max_live_instances: Option<usize>,
    /// Active actors at the same time. Beyond it, those that were idle longest are deactivated before their time.
    pub max_active_actors: usize,
    /// Connections at the same time, on the listening port. Further ones wait to be accepted.
    pub max_connections: usize,
    /// Effects that wait for delivery at the same time. While there are so many, new calls are answered 503.
    pub max_pending_effects: usize,
    /// The same for the bytes of those effects.
    pub max_pending_effect_bytes: ByteSize,
    /// Bytes of a request's body. A longer one is answered 413.
    pub max_body: ByteSize,
    /// How long a shutdown waits for turns that run and effects that wait.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// How often the delivery of an effect is tried before it is given up.
    pub effect_attempts: u32,
    /// The wait before the second attempt; each further wait is twice as long.
    #[serde(with = "humantime_serde")]
    pub effect_retry_delay: Duration,
}

impl Default for HostLimits {
    fn default() -> HostLimits {
        HostLimits {
            max_turns_in_flight: 16_384,
            max_live_instances: None,
            max_active_actors: 200_000,
            max_connections: 10_000,
            max_pending_effects: 10_000,
            max_pending_effect_bytes: ByteSize::mib(256),
            max_body: ByteSize::mib(4),
            shutdown_grace: Duration::from_secs(10),
            effect_attempts: 5,
            effect_retry_delay: Duration::from_millis(200),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Embedded {
    pub(super) secrets_file: Option<PathBuf>,
    pub(super) binding_responses: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Agent {
    pub(super) component: Spanned<PathBuf>,
    #[serde(default = "ten_minutes", with = "humantime_serde")]
    pub(super) idle_timeout: Duration,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) limits: AgentLimits,
    #[serde(default)]
    pub(super) permissions: Permissions,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// Bounds on each turn and each instance of an agent type: the table `[agents.TYPE.limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AgentLimits {
    /// Bytes of all memories of an instance together.
    pub memory: ByteSize,
    /// The guest's own running time in a turn. Time in which it waits for the host does not count.
    #[serde(with = "humantime_serde")]
    pub running_time: Duration,
    /// The time of a whole turn, waiting included.
    #[serde(with = "humantime_serde")]
    pub turn_time: Duration,
    /// Calls that wait for one actor. One more is answered 429.
    pub queue: usize,
    /// Bytes of a reply.
    pub reply: ByteSize,
    /// Bytes of one state value.
    pub state_value: ByteSize,
    /// State keys that one turn may write or delete.
    pub state_keys_per_turn: usize,
    /// Bytes that one turn may write to state, keys and values together, with the data of reminders and timers.
    pub state_bytes_per_turn: ByteSize,
    /// Bytes that one actor may have on disk: keys, values, reminders and timers. Kept by the embedded backend; behind a
    /// sidecar the state store has its own limits.
    pub state_total: ByteSize,
    /// Events and sent bindings of one turn.
    pub effects_per_turn: usize,
    /// Bytes of all events and sent bindings of one turn.
    pub effect_bytes_per_turn: ByteSize,
    /// Bytes of one event, binding request or call to another actor.
    pub payload: ByteSize,
    /// Lines that one turn may log. Further ones are counted and left out.
    pub log_lines_per_turn: u32,
}

impl Default for AgentLimits {
    fn default() -> AgentLimits {
        AgentLimits {
            memory: ByteSize::mib(16),
            running_time: Duration::from_secs(1),
            turn_time: Duration::from_secs(30),
            queue: 64,
            reply: ByteSize::mib(4),
            state_value: ByteSize::mib(1),
            state_keys_per_turn: 1_000,
            state_bytes_per_turn: ByteSize::mib(4),
            state_total: ByteSize::mib(64),
            effects_per_turn: 100,
            effect_bytes_per_turn: ByteSize::mib(4),
            payload: ByteSize::mib(1),
            log_lines_per_turn: 1_000,
        }
    }
}

impl AgentLimits {
    /// A bound of zero would stop the agent type from ever answering, and one of many gigabytes bounds nothing.
    pub(super) fn checked(self, agent: &str, problems: &mut Problems<'_>) -> AgentLimits {
        const LARGEST: ByteSize = ByteSize::gib(2);
        let zero = [
            ("memory", self.memory.as_u64() == 0),
            ("running-time", self.running_time.is_zero()),
            ("turn-time", self.turn_time.is_zero()),
            ("queue", self.queue == 0),
            ("reply", self.reply.as_u64() == 0),
        ];
        for (key, _) in zero.into_iter().filter(|(_, zero)| *zero) {
            let message = format!("agents.{agent}.limits.{key} is 0, so that no turn could ever end well");
            problems.push("manifest-invalid-limit", 0..0, message, || {
                "give a larger bound, or leave it out".into()
            });
        }
        let large = [("memory", self.memory), ("reply", self.reply), ("payload", self.payload)];
        for (key, value) in large.into_iter().filter(|(_, value)| *value > LARGEST) {
            let message =
                format!("agents.{agent}.limits.{key} is {value}; the largest that works is {LARGEST}");
            problems.push("manifest-invalid-limit", 0..0, message, || {
                "give a smaller bound, or leave it out".into()
            });
        }
        self
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Permissions {
    pub(super) publish: Vec<Spanned<String>>,
    pub(super) bindings: Vec<Spanned<String>>,
    pub(super) actors: Vec<Spanned<String>>,
    pub(super) secrets: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Route {
    pub(super) method: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) agent: Spanned<String>,
    pub(super) call: String,
    pub(super) actor_id: Spanned<ActorId>,
    pub(super) payload: Option<Spanned<Payload>>,
    pub(super) reply: Option<toml::Value>,
    pub(super) invalid: Option<String>,
    pub(super) malformed: Option<String>,
    pub(super) log: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ActorId {
    pub(super) path: Option<String>,
    pub(super) field: Option<String>,
    pub(super) default: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected \"body\", \"none\" or { field = \"FIELD\" }")]
pub(super) enum Payload {
    Word(String),
    Field { field: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Subscription {
    pub(super) pubsub: Spanned<String>,
    pub(super) topic: String,
    pub(super) path: Spanned<String>,
    pub(super) log: Option<Spanned<String>>,
    pub(super) agent: Option<Spanned<String>>,
    pub(super) call: Option<String>,
    pub(super) actor_id: Option<Spanned<ActorId>>,
    pub(super) payload: Option<Spanned<Payload>>,
}
