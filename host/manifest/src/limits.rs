//! Limits: the settings of a manifest, their defaults, and their valid ranges. The structs are the tables of the file, with
//! a field for each key, however many they are.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::Problems;
use daca_base::ErrorCode;
use daca_base::memory::machine;

/// The largest count; a higher limit would be no limit.
const MAX_COUNT: usize = 10_000_000;
/// The kernel's largest nice value.
const MAX_NICE: u8 = 19;
/// The longest time for a body.
const MAX_BODY_TIME: Duration = Duration::from_secs(3600);
/// The largest usable memory or message.
pub(super) const MAX_SIZE: ByteSize = ByteSize::gib(2);

/// The shortest time, apart from none.
const MIN_TIME: Duration = Duration::from_millis(1);
/// The longest time: its sum with a clock must not overflow.
const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Limits of the whole host: the table `[host]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostLimits {
    /// The memory of the whole process. Beyond it, what is idle is given up, and calls wait or are answered 503. By
    /// default a part of what the machine or the control group has.
    pub memory: Option<ByteSize>,
    /// The bytes that the actors of all types may have on disk. The types share it by weight. Enforced by the embedded
    /// backend.
    pub storage: Option<ByteSize>,
    /// Calls that wait or run at the same time, over all actors. Further ones are answered 503.
    pub max_turns_in_flight: usize,
    /// By how much the threads on which guests run are nicer than those that serve: 0 to 19. The kernel then runs the
    /// latter sooner beside busy guests, and gives guests less beside other programs of the control group.
    pub guest_nice: u8,
    /// Live instances at the same time. The host lowers it to the number that `vm.max_map_count` allows.
    pub max_live_instances: Option<usize>,
    /// Active actors at the same time. Beyond it, those that were idle longest are deactivated early.
    pub max_active_actors: usize,
    /// Concurrent connections on the listening port. The longest idle one is evicted for a further one; when none is
    /// idle, further ones serve health checks only. Behind a sidecar, connections from this machine are counted
    /// separately.
    pub max_connections: usize,
    /// Connections of one address on another machine; by default half of all.
    pub max_connections_per_peer: Option<usize>,
    /// Effects that wait for delivery at the same time. Beyond it, new calls are answered 503.
    pub max_pending_effects: usize,
    /// The bytes of those effects. The default is 256 MiB, but no more than a sixteenth of `memory`: a turn that has ended
    /// cannot wait for memory for its effects.
    pub max_pending_effect_bytes: Option<ByteSize>,
    /// The bytes that the agents of all types may log in a second. Further lines are dropped and counted.
    pub max_log_rate: ByteSize,
    /// The maximum size of a request's body. A longer one is answered 413.
    pub max_body: ByteSize,
    /// The bytes of all bodies that the host holds: those that arrive, and those of calls that wait or run. Further
    /// ones are answered 503. The default is 256 MiB, or four times the maximum size of a body if that is more, but
    /// no more than a quarter of `memory`, and at least two bodies. Behind a sidecar its calls have one half, and all others the other; each half
    /// holds at least one body.
    pub max_held_body_bytes: Option<ByteSize>,
    /// The time for a whole body to arrive, or it is answered 408; and the time for an answer to be read.
    #[serde(with = "humantime_serde")]
    pub body_time: Duration,
    /// The minimum rate a second of a body that arrives, and of an answer that is read, after the first five seconds.
    pub least_body_rate: ByteSize,
    /// The time that a shutdown waits for running turns and waiting effects.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// The least number of attempts to deliver an effect before it is given up, however long it has waited.
    pub effect_attempts: u32,
    /// The wait before the second attempt, unless the agent type has another; it doubles after each.
    #[serde(with = "humantime_serde")]
    pub effect_retry_delay: Duration,
}

impl Default for HostLimits {
    fn default() -> HostLimits {
        HostLimits {
            memory: None,
            storage: None,
            max_turns_in_flight: 16_384,
            guest_nice: 0,
            max_live_instances: None,
            max_active_actors: 200_000,
            max_connections: 10_000,
            max_connections_per_peer: None,
            max_pending_effects: 10_000,
            max_pending_effect_bytes: None,
            max_log_rate: ByteSize::mib(4),
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

    /// The bytes of all bodies that the host holds.
    pub fn max_held_body_bytes(&self) -> ByteSize {
        let bodies = |number: u64| ByteSize(self.max_body.as_u64().saturating_mul(number));
        let usual = || ByteSize::mib(256).max(bodies(4)).min(ByteSize(self.memory() / 4)).max(bodies(2));
        self.max_held_body_bytes.unwrap_or_else(usual)
    }

    /// The bytes of the effects that wait for delivery.
    pub fn max_pending_effect_bytes(&self) -> ByteSize {
        let usual = || ByteSize::mib(256).min(ByteSize(self.memory() / 16));
        self.max_pending_effect_bytes.unwrap_or_else(usual)
    }

    /// A limit of zero would prevent every answer.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        let table = ["host"];
        self.check_memory(problems);
        check_size(&table, "storage", self.storage.unwrap_or(ByteSize(1)), ByteSize(u64::MAX), problems);
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
        if self.guest_nice > MAX_NICE {
            refuse_large(&table, "guest-nice", &self.guest_nice.to_string(), &MAX_NICE.to_string(), problems);
        }
        check_size(&table, "max-log-rate", self.max_log_rate, MAX_SIZE, problems);
        check_size(&table, "max-body", self.max_body, MAX_SIZE, problems);
        check_size(&table, "least-body-rate", self.least_body_rate, MAX_SIZE, problems);
        if self.body_time.is_zero() {
            refuse_zero(&table, "body-time", problems);
        } else if self.body_time > MAX_BODY_TIME {
            refuse_large(&table, "body-time", &format!("{:?}", self.body_time), "1h", problems);
        } else {
            check_time(&table, "body-time", self.body_time, problems);
        }
        if let Some(held) = self.max_held_body_bytes.filter(|held| *held < self.max_body) {
            let [held, body] = sizes_for_people([held, self.max_body]);
            let message = format!("host.max-held-body-bytes is {held}, and one body may have {body}");
            let place = problems.locate(&["host", "max-held-body-bytes"]);
            let help = || "give a larger bound, or a smaller max-body".into();
            problems.push(ErrorCode::ManifestInvalidLimit, place, message, help);
        }
        check_size(
            &table,
            "max-pending-effect-bytes",
            self.max_pending_effect_bytes.unwrap_or(ByteSize(1)),
            ByteSize(u64::MAX),
            problems,
        );
    }
}

impl HostLimits {
    /// The bytes of the budget of memory.
    pub fn memory(&self) -> u64 {
        self.memory.map_or_else(machine::default_budget, |memory| memory.as_u64())
    }

    fn check_memory(&self, problems: &mut Problems<'_>) {
        let least = ByteSize(machine::MIN_BUDGET);
        let Some(memory) = self.memory.filter(|memory| *memory < least) else { return };
        let [memory, least] = sizes_for_people([memory, least]);
        let message = format!("host.memory is {memory}; the minimum is {least}");
        let place = problems.locate(&["host", "memory"]);
        let help = || "give a larger budget, or leave it out".into();
        problems.push(ErrorCode::ManifestInvalidLimit, place, message, help);
    }
}

/// Limits of each turn and each instance of an agent type: the table `[agents.TYPE.limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AgentLimits {
    /// The bytes of all memories of an instance together.
    pub memory: ByteSize,
    /// The guest's own running time in a turn. The time in which it waits for the host does not count.
    #[serde(with = "humantime_serde")]
    pub running_time: Duration,
    /// The time of a whole turn, waiting included.
    #[serde(with = "humantime_serde")]
    pub turn_time: Duration,
    /// Calls that wait for one actor. Further ones are answered 429.
    pub queue: usize,
    /// Bytes of a reply.
    pub reply: ByteSize,
    /// Bytes of one state value.
    pub state_value: ByteSize,
    /// State keys that one turn may write or delete.
    pub state_keys_per_turn: usize,
    /// Bytes that one turn may write to state, keys and values together, with the data of reminders and timers.
    pub state_bytes_per_turn: ByteSize,
    /// Bytes that one actor may have on disk: keys, values, reminders and timers. Enforced by the embedded backend;
    /// behind a sidecar the state store has its own limits.
    pub state_total: ByteSize,
    /// Reminders and timers of one actor. Behind a sidecar it bounds the timers alone.
    pub registrations: usize,
    /// The shortest period of a reminder or timer.
    #[serde(with = "humantime_serde")]
    pub least_period: Duration,
    /// Events and sent bindings of one turn.
    pub effects_per_turn: usize,
    /// Bytes of all events and sent bindings of one turn.
    pub effect_bytes_per_turn: ByteSize,
    /// Bytes of one event, binding request or call to another actor.
    pub payload: ByteSize,
    /// Lines that one turn may log. Further ones are counted and dropped.
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
            registrations: 1_000,
            least_period: Duration::from_millis(10),
            effects_per_turn: 100,
            effect_bytes_per_turn: ByteSize::mib(4),
            payload: ByteSize::mib(1),
            log_lines_per_turn: 1_000,
        }
    }
}

impl AgentLimits {
    /// A limit of zero would prevent every answer of the agent type, and one of many gigabytes would be no limit.
    pub(super) fn check(&self, agent: &str, problems: &mut Problems<'_>) {
        let table = ["agents", agent, "limits"];
        check_number(&table, "queue", self.queue, problems);
        for (key, size) in [("memory", self.memory), ("reply", self.reply), ("payload", self.payload)] {
            check_size(&table, key, size, MAX_SIZE, problems);
        }
        // Zero is a valid limit of these.
        for (key, size) in [
            ("state-value", self.state_value),
            ("state-bytes-per-turn", self.state_bytes_per_turn),
            ("effect-bytes-per-turn", self.effect_bytes_per_turn),
        ] {
            check_largest(&table, key, size, MAX_SIZE, problems);
        }
        for (key, number) in [
            ("state-keys-per-turn", self.state_keys_per_turn),
            ("effects-per-turn", self.effects_per_turn),
            ("log-lines-per-turn", self.log_lines_per_turn as usize),
        ] {
            check_most(&table, key, number, problems);
        }
        check_number(&table, "registrations", self.registrations, problems);
        for (key, time) in [
            ("running-time", self.running_time),
            ("turn-time", self.turn_time),
            ("least-period", self.least_period),
        ] {
            if time.is_zero() {
                refuse_zero(&table, key, problems);
            }
            check_time(&table, key, time, problems);
        }
    }
}

/// The problem of a number of attempts, and what to do.
pub(super) fn attempts_problem(attempts: u32) -> Option<(String, String)> {
    match attempts as usize {
        0 => Some(("attempts = 0".into(), "write 1 or more".into())),
        1..=MAX_COUNT => None,
        _ => Some((
            format!("attempts = {attempts}; the maximum is {MAX_COUNT}"),
            "write a smaller number".into(),
        )),
    }
}

/// Two sizes for one message: rounded, or in bytes if they would look the same.
pub fn sizes_for_people(sizes: [ByteSize; 2]) -> [String; 2] {
    let [first, second] = sizes.map(|size| size.to_string());
    if first == second { sizes.map(|size| format!("{} bytes", size.as_u64())) } else { [first, second] }
}

/// Rejects a time above the maximum, and one that no clock here measures.
pub(super) fn check_time(table: &[&str], key: &str, time: Duration, problems: &mut Problems<'_>) {
    if !time.is_zero() && time < MIN_TIME {
        let message = format!("{}.{key} is {time:?}; the host measures milliseconds", table.join("."));
        let place = problems.locate(&[table, &[key]].concat());
        problems.push(ErrorCode::ManifestInvalidLimit, place, message, || "write 1ms or more".into());
    }
    if time > MAX_TIME {
        let days = |time: Duration| format!("{} days", time.as_secs() / (24 * 3_600));
        let longest = days(MAX_TIME);
        // A little more would look the same.
        let time = if days(time) == longest { format!("{time:?}") } else { days(time) };
        refuse_large(table, key, &time, &longest, problems);
    }
}

fn check_number(table: &[&str], key: &str, value: usize, problems: &mut Problems<'_>) {
    if value == 0 {
        refuse_zero(table, key, problems);
    }
    check_most(table, key, value, problems);
}

fn check_most(table: &[&str], key: &str, value: usize, problems: &mut Problems<'_>) {
    if value > MAX_COUNT {
        refuse_large(table, key, &value.to_string(), &MAX_COUNT.to_string(), problems);
    }
}

pub(super) fn check_size(
    table: &[&str],
    key: &str,
    value: ByteSize,
    largest: ByteSize,
    problems: &mut Problems<'_>,
) {
    if value.as_u64() == 0 {
        refuse_zero(table, key, problems);
    }
    check_largest(table, key, value, largest, problems);
}

fn check_largest(table: &[&str], key: &str, value: ByteSize, largest: ByteSize, problems: &mut Problems<'_>) {
    if value > largest {
        let [value, largest] = sizes_for_people([value, largest]);
        refuse_large(table, key, &value, &largest, problems);
    }
}

fn refuse_zero(table: &[&str], key: &str, problems: &mut Problems<'_>) {
    let message = format!("{}.{key} is 0, so nothing could ever succeed", table.join("."));
    let place = problems.locate(&[table, &[key]].concat());
    problems.push(ErrorCode::ManifestInvalidLimit, place, message, || {
        "give a larger bound, or leave it out".into()
    });
}

fn refuse_large(table: &[&str], key: &str, value: &str, largest: &str, problems: &mut Problems<'_>) {
    let message = format!("{}.{key} is {value}; the maximum is {largest}", table.join("."));
    let place = problems.locate(&[table, &[key]].concat());
    problems.push(ErrorCode::ManifestInvalidLimit, place, message, || {
        "give a smaller bound, or leave it out".into()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_may_take_a_sixteenth_of_the_memory_by_default() {
        let of = |memory, wanted| {
            let limits = HostLimits {
                memory: Some(memory),
                max_pending_effect_bytes: wanted,
                ..HostLimits::default()
            };
            limits.max_pending_effect_bytes()
        };
        assert_eq!(of(ByteSize::mib(512), None), ByteSize::mib(32));
        assert_eq!(of(ByteSize::gib(64), None), ByteSize::mib(256));
        assert_eq!(of(ByteSize::mib(512), Some(ByteSize::gib(1))), ByteSize::gib(1));
        assert!(of(ByteSize(machine::MIN_BUDGET), None) >= AgentLimits::default().effect_bytes_per_turn);
    }
}
