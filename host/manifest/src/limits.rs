//! Bounds: what a manifest may set, the defaults, and which values make no sense.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::Problems;

/// The largest number of things that are counted at the same time; beyond it a bound bounds nothing.
const MOST: usize = 10_000_000;
/// The longest time that a body may be given.
const MAX_BODY_TIME: Duration = Duration::from_secs(3600);
/// The largest memory or message that works.
const LARGEST: ByteSize = ByteSize::gib(2);

/// The longest time: what is added to a clock must stay within it.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

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
    /// Connections at the same time, on the listening port. The longest idle makes room for a further one; when none is idle,
    /// further ones serve health alone. Behind a sidecar, connections from this machine count by themselves.
    pub max_connections: usize,
    /// Those of one address on another machine; half of all, if it is not given.
    pub max_connections_per_peer: Option<usize>,
    /// Effects that wait for delivery at the same time. While there are so many, new calls are answered 503.
    pub max_pending_effects: usize,
    /// The same for the bytes of those effects.
    pub max_pending_effect_bytes: ByteSize,
    /// Bytes of a request's body. A longer one is answered 413.
    pub max_body: ByteSize,
    /// Bytes of all bodies that the host holds: those that arrive, and those of calls that wait or run. One more is answered 503.
    /// If it is not given, 256 MiB, or room for four bodies if that is more. Behind a sidecar its calls have one half, and all
    /// others the other; each half has room for one body at least.
    pub max_held_body_bytes: Option<ByteSize>,
    /// When a whole body must be there; a later one is answered 408. And when an answer must be read.
    #[serde(with = "humantime_serde")]
    pub body_time: Duration,
    /// Bytes that a body brings, and that are read of an answer, in each second at least, after its first five seconds.
    pub least_body_rate: ByteSize,
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
            max_connections_per_peer: None,
            max_pending_effects: 10_000,
            max_pending_effect_bytes: ByteSize::mib(256),
            max_body: ByteSize::mib(4),
            max_held_body_bytes: None,
            body_time: Duration::from_secs(60),
            least_body_rate: ByteSize::kib(4),
            shutdown_grace: Duration::from_secs(10),
            effect_attempts: 5,
            effect_retry_delay: Duration::from_millis(200),
        }
    }
}

impl HostLimits {
    /// Connections of one address on another machine.
    pub fn max_connections_per_peer(&self) -> usize {
        self.max_connections_per_peer.unwrap_or(self.max_connections.div_ceil(2))
    }

    /// Bytes of all bodies that the host holds.
    pub fn max_held_body_bytes(&self) -> ByteSize {
        let usual = ByteSize::mib(256).max(ByteSize(self.max_body.as_u64().saturating_mul(4)));
        self.max_held_body_bytes.unwrap_or(usual)
    }

    /// A bound of zero would stop the host from ever answering.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        let table = ["host"];
        for (key, value) in [
            ("max-turns-in-flight", self.max_turns_in_flight),
            ("max-live-instances", self.max_live_instances.unwrap_or(1)),
            ("max-active-actors", self.max_active_actors),
            ("max-connections", self.max_connections),
            ("max-connections-per-peer", self.max_connections_per_peer.unwrap_or(1)),
            ("max-pending-effects", self.max_pending_effects),
            ("effect-attempts", self.effect_attempts as usize),
        ] {
            check_number(&table, key, value, problems);
        }
        for (key, time) in
            [("shutdown-grace", self.shutdown_grace), ("effect-retry-delay", self.effect_retry_delay)]
        {
            check_time(&table, key, time, problems);
        }
        check_size(&table, "max-body", self.max_body, LARGEST, problems);
        check_size(&table, "least-body-rate", self.least_body_rate, LARGEST, problems);
        if self.body_time.is_zero() {
            refuse_zero(&table, "body-time", problems);
        } else if self.body_time > MAX_BODY_TIME {
            refuse_large(&table, "body-time", &format!("{:?}", self.body_time), "1h", problems);
        }
        if let Some(held) = self.max_held_body_bytes.filter(|held| *held < self.max_body) {
            let message =
                format!("host.max-held-body-bytes is {held}, and one body may have {}", self.max_body);
            let place = problems.locate(&["host", "max-held-body-bytes"]);
            let help = || "give a larger bound, or a smaller max-body".into();
            problems.push("manifest-invalid-limit", place, message, help);
        }
        check_size(
            &table,
            "max-pending-effect-bytes",
            self.max_pending_effect_bytes,
            ByteSize(u64::MAX),
            problems,
        );
    }
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
    pub(super) fn check(&self, agent: &str, problems: &mut Problems<'_>) {
        let table = ["agents", agent, "limits"];
        check_number(&table, "queue", self.queue, problems);
        for (key, size) in [("memory", self.memory), ("reply", self.reply), ("payload", self.payload)] {
            check_size(&table, key, size, LARGEST, problems);
        }
        for (key, time) in [("running-time", self.running_time), ("turn-time", self.turn_time)] {
            if time.is_zero() {
                refuse_zero(&table, key, problems);
            }
            check_time(&table, key, time, problems);
        }
    }
}

/// Refuses a time that is too long to be one.
pub(super) fn check_time(table: &[&str], key: &str, time: Duration, problems: &mut Problems<'_>) {
    if time > LONGEST {
        let [time, longest] = [time, LONGEST].map(|time| format!("{} days", time.as_secs() / (24 * 3_600)));
        refuse_large(table, key, &time, &longest, problems);
    }
}

fn check_number(table: &[&str], key: &str, value: usize, problems: &mut Problems<'_>) {
    if value == 0 {
        refuse_zero(table, key, problems);
    } else if value > MOST {
        refuse_large(table, key, &value.to_string(), &MOST.to_string(), problems);
    }
}

fn check_size(table: &[&str], key: &str, value: ByteSize, largest: ByteSize, problems: &mut Problems<'_>) {
    if value.as_u64() == 0 {
        refuse_zero(table, key, problems);
    } else if value > largest {
        refuse_large(table, key, &value.to_string(), &largest.to_string(), problems);
    }
}

fn refuse_zero(table: &[&str], key: &str, problems: &mut Problems<'_>) {
    let message = format!("{}.{key} is 0, so nothing could ever succeed", table.join("."));
    let place = problems.locate(&[table, &[key]].concat());
    problems.push("manifest-invalid-limit", place, message, || "give a larger bound, or leave it out".into());
}

fn refuse_large(table: &[&str], key: &str, value: &str, largest: &str, problems: &mut Problems<'_>) {
    let message = format!("{}.{key} is {value}; the maximum is {largest}", table.join("."));
    let place = problems.locate(&[table, &[key]].concat());
    problems
        .push("manifest-invalid-limit", place, message, || "give a smaller bound, or leave it out".into());
}
