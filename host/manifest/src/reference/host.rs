//! The keys of `[host]`, the longest table.

use super::table::KeyDefault::{None, Value, Words};
use super::table::{Table, key};

pub(super) const TABLE: Table = Table {
    name: "host",
    keys: &[
        key(
            "memory",
            Words("three quarters of what the control group allows, or half of the machine's memory"),
            "the memory of the whole host; beyond it, what is idle is given up, and calls wait or are answered 503 ([capacity](../operate/capacity.md#memory)). At least 128 MiB",
        ),
        key(
            "storage",
            None,
            "the bytes that the actors of all types may have on disk, which the types [share](../operate/shares.md) (embedded backend)",
        ),
        key(
            "max-turns-in-flight",
            Value("16384"),
            "calls that wait or run, of all actors; one more is answered 503",
        ),
        key(
            "guest-nice",
            Value("0"),
            "by how much the threads on which guests run are nicer than those that serve, 0 to 19: requests then wait less beside agents that are always busy, and guests get less beside other programs of the same control group ([processors](../concepts/turns.md#processors))",
        ),
        key(
            "max-active-actors",
            Value("200000"),
            "active actors; beyond it those that were idle longest are deactivated early",
        ),
        key(
            "max-live-instances",
            Words("`8192`, or what `vm.max_map_count` allows if that is less"),
            "instances in memory; an actor may be active without one. Of types whose activation is cheap, fewer are kept",
        ),
        key(
            "max-connections",
            Value("10000"),
            "connections. The longest idle one is closed for a further one. When none is idle, further ones serve health checks only. Behind a sidecar, connections from this machine are counted separately",
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
        key(
            "max-pending-effect-bytes",
            Words("`256MiB`, but at most a sixteenth of `memory`"),
            "their bytes; any size",
        ),
        key(
            "max-log-rate",
            Value("4MiB"),
            "bytes that the agents of all types may log in a second; further lines are dropped and counted",
        ),
        key(
            "max-body",
            Value("4MiB"),
            "a body; a longer one is answered 413. An event that is longer is dropped or dead-lettered. An agent holds it twice at least: as it came, and read (`memory`)",
        ),
        key(
            "max-held-body-bytes",
            Words(
                "`256MiB`, or four times `max-body` if that is more; at most a quarter of `memory`, but at least twice `max-body`",
            ),
            "all bodies that arrive, or whose calls wait or run; one more is answered 503. Behind a sidecar, half of them for calls from this machine. Not less than `max-body`",
        ),
        key(
            "body-time",
            Value("60s"),
            "the time for a whole body to arrive, else 408, and for an answer to be read; at most 1 h",
        ),
        key(
            "least-body-rate",
            Value("4KiB"),
            "the minimum rate a second, after five seconds, of a body that arrives and of an answer that is read, on both ports",
        ),
        key("shutdown-grace", Value("10s"), "how long a shutdown waits for turns and effects"),
        key(
            "effect-attempts",
            Value("5"),
            "the least number of attempts to deliver an effect, before `retry-for` of its agent type ends them",
        ),
        key(
            "effect-retry-delay",
            Value("200ms"),
            "the wait before the second attempt, for types without a `backoff`",
        ),
    ],
};
