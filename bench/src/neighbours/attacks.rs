//! The attacks: what agents of other types do on the neighbour's host, as far as their limits permit it.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use daca_stack::manifests;
use daca_tests::{guest, manifest_of};
use serde_json::json;

use super::callers::Calls;
use super::component::{Extra, enlarged};
use super::reminders;
use crate::server::Storage;

/// For how long a turn sleeps: somewhat less than it may take.
const SLEEP_MS: u64 = 29_000;
/// The host's budget of memory in MiB, where an attack is on that.
const BUDGET: u64 = 1_024;
/// Lines of a turn that logs: as many as it may.
const LINES: u64 = 1_000;
/// The period of a timer in milliseconds: as short as it may be.
const PERIOD_MS: u64 = 10;

/// The active actors of a host, where an attack is on the reads of their state.
const ACTIVE: usize = 200;
/// The connections of a host, where an attack is on those.
const CONNECTIONS: usize = 400;

/// What agents of other types do.
pub(super) struct Attack {
    /// What they do, in few words.
    pub(super) name: &'static str,
    /// Their part of the manifest, with a route for each call.
    pub(super) manifest: String,
    /// Further lines of the manifest's table `[host]`.
    pub(super) host: String,
    /// The calls that are made of them.
    pub(super) calls: Vec<Calls>,
    /// Where the host's store lies.
    pub(super) storage: Storage,
    /// The host's budget of memory in MiB, if it is not the default.
    pub(super) memory: Option<u64>,
    /// What the neighbour is asked for besides its messages.
    pub(super) asks: Asks,
}

/// What the neighbour is asked for besides its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// For nothing.
    Nothing,
    /// For reminders, of another type.
    Reminders,
    /// For its lines of the log, which the host keeps.
    Log,
}

/// All attacks. Their components are written into the folder.
pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Attack>> {
    let mut all = vec![reminders_that_sleep(), events_to_a_sleeper(), sleepers(folder)?, timers_that_log()];
    all.extend(on_the_processors());
    all.extend([commits(), holders_that_trap(), idle_actors()]);
    all.extend([reads_of_state(), slow_bodies(), large_bodies()]);
    all.push(large_instances("200 actors with 96 full tables", Extra::Tables, folder)?);
    all.push(large_instances("200 actors with 99,000 handles", Extra::Handles, folder)?);
    Ok(all)
}

/// Each of five actors has 64 reminders that are due at once, and each firing sleeps.
fn reminders_that_sleep() -> Attack {
    let data = json!({ "sleeps_ms": SLEEP_MS });
    let reminder = json!({ "name": "n-{number}", "due_ms": 1_000, "data": data });
    let manifest = [
        manifest_of("Sleeps", "exerciser", ""),
        manifest_of("Reminded", "exerciser", ""),
        route("remind", "Sleeps", "RegisterReminder"),
        route(reminders::REGISTER, "Reminded", "RegisterReminder"),
        route(reminders::FIRED, "Reminded", "Fired"),
    ];
    let calls = Calls::of("remind", 16).of_actors(5).at_most(5 * 64).with_body(reminder);
    Attack { asks: Asks::Reminders, ..attack("320 reminders whose turns sleep", &manifest, vec![calls]) }
}

fn events_to_a_sleeper() -> Attack {
    let event = json!({ "id": "sleeper", "ms": SLEEP_MS });
    let flood = json!({ "topic": "flood", "event": event, "times": 100 });
    let subscription = "[[subscriptions]]\npubsub = \"daca-pubsub\"\ntopic = \"flood\"\npath = \"/flood\"\n\
        agent = \"Sleeps\"\ncall = \"Sleep\"\nactor-id = { field = \"id\" }\n";
    let manifest = [
        manifest_of("Floods", "floods", "permissions = { publish = [\"daca-pubsub/flood\"] }"),
        manifest_of("Sleeps", "exerciser", ""),
        subscription.to_owned(),
        route("flood-of", "Floods", "PublishMany"),
    ];
    attack(
        "115 callers of 100 events for a sleeper",
        &manifest,
        vec![Calls::of("flood-of", 115).with_body(flood)],
    )
}

fn sleepers(folder: &Path) -> anyhow::Result<Attack> {
    let manifest = [large_type("Wide", Extra::CoreInstances, folder, "")?, route("sleep", "Wide", "Sleep")];
    let calls = Calls::of("sleep", 330).with_body(json!({ "ms": SLEEP_MS }));
    Ok(attack("330 sleepers with 99 core instances", &manifest, vec![calls]))
}

fn timers_that_log() -> Attack {
    let timer = json!({ "name": "t", "due_ms": 0, "period_ms": PERIOD_MS, "data": { "logs": LINES } });
    let manifest = [manifest_of("Logs", "exerciser", ""), route("log", "Logs", "RegisterTimer")];
    let calls = Calls::of("log", 4).at_most(4).with_body(timer);
    Attack { asks: Asks::Log, ..attack("4 timers that log", &manifest, vec![calls]) }
}

fn on_the_processors() -> [Attack; 4] {
    let limits = "limits = { running-time = \"60s\", turn-time = \"60s\" }";
    let loops = [manifest_of("Loops", "loops", limits), route_without_body("loop", "Loops", "Loop")];
    let floods = [manifest_of("Floods", "floods", limits), route_without_body("keys", "Floods", "ManyKeys")];
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    [
        attack("a loop for each processor", &loops, vec![Calls::of("loop", processors)]),
        attack("50 loops", &loops, vec![Calls::of("loop", 50)]),
        attack("400 loops", &loops, vec![Calls::of("loop", 400)]),
        attack("16 calls for keys", &floods, vec![Calls::of("keys", 16)]),
    ]
}

fn commits() -> Attack {
    let limits = "limits = { memory = \"32MiB\", state-value = \"4MiB\" }";
    let manifest = [manifest_of("Floods", "floods", limits), route("write", "Floods", "HugeValue")];
    let calls = Calls::of("write", 400).with_body(3_000_000);
    Attack { storage: Storage::Disk, ..attack("400 commits of 3 MB", &manifest, vec![calls]) }
}

fn holders_that_trap() -> Attack {
    let manifest = [
        manifest_of("Holds", "allocates", ""),
        route("hold", "Holds", "Hold"),
        route_without_body("trap", "Holds", "OneBlock"),
    ];
    let calls = [Calls::of("hold", 48).with_body(4), Calls::of("trap", 16)];
    let calls = calls.map(|calls| calls.of_actors(700)).to_vec();
    Attack { memory: Some(BUDGET), ..attack("700 actors hold 4 MB and trap", &manifest, calls) }
}

fn idle_actors() -> Attack {
    let manifest = [manifest_of("Floods", "floods", ""), route("write", "Floods", "HugeValue")];
    let calls = Calls::of("write", 16).of_actors(4_000).with_body(250_000);
    Attack { memory: Some(BUDGET), ..attack("4,000 actors with 250 KB of state", &manifest, vec![calls]) }
}

/// Fewer actors are active than are read, so each read is an activation, too.
fn reads_of_state() -> Attack {
    let manifest = [
        manifest_of("Floods", "floods", ""),
        route("write", "Floods", "HugeValue"),
        route_without_body("read", "Floods", "ReadHuge"),
    ];
    let calls = [Calls::of("write", 16).at_most(400).with_body(1_000_000), Calls::of("read", 64)];
    let calls = calls.map(|calls| calls.of_actors(400)).to_vec();
    let host = format!("max-active-actors = {ACTIVE}\n");
    Attack { host, ..attack("64 callers that read 1 MB of 400 actors", &manifest, calls) }
}

fn slow_bodies() -> Attack {
    let manifest = [manifest_of("Slow", "exerciser", ""), route("slow", "Slow", "Echo")];
    // The slow ones reach no actor.
    let calls = vec![Calls::of("slow", 4).at_most(4).with_body(1), Calls::of("slow", 440).slowly()];
    let host = format!("max-connections = {CONNECTIONS}\n");
    Attack { host, ..attack("440 slow bodies for 400 connections", &manifest, calls) }
}

fn large_bodies() -> Attack {
    let limits = "limits = { memory = \"32MiB\" }";
    let manifest = [manifest_of("Bodies", "exerciser", limits), route("set", "Bodies", "SetState")];
    // What the agent does not know is read and not used.
    let body = json!({ "key": "k", "value": "", "more": "x".repeat(4_000_000) });
    let calls = vec![Calls::of("set", 400).with_body(body)];
    Attack { memory: Some(BUDGET), ..attack("400 callers with bodies of 4 MB", &manifest, calls) }
}

fn large_instances(name: &'static str, extra: Extra, folder: &Path) -> anyhow::Result<Attack> {
    let large = large_type("Large", extra, folder, "limits = { memory = \"32MiB\" }")?;
    let calls = Calls::of("sleep", 200).with_body(json!({ "ms": SLEEP_MS }));
    let manifest = [large, route("sleep", "Large", "Sleep")];
    Ok(Attack { memory: Some(BUDGET), ..attack(name, &manifest, vec![calls]) })
}

fn attack(name: &'static str, manifest: &[String], calls: Vec<Calls>) -> Attack {
    let (storage, asks) = (Storage::Memory, Asks::Nothing);
    Attack { name, manifest: manifest.concat(), host: String::new(), calls, storage, memory: None, asks }
}

/// An agent type whose component has more in each of its instances.
fn large_type(agent_type: &str, extra: Extra, folder: &Path, more: &str) -> anyhow::Result<String> {
    let path = guest("exerciser");
    let wasm = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let component = folder.join(format!("{extra:?}.wasm"));
    std::fs::write(&component, enlarged(&wasm, extra)?)?;
    Ok(format!("[agents.{agent_type}]\ncomponent = {:?}\n{more}\n", component.display().to_string()))
}

fn route(path: &str, agent: &str, call: &str) -> String {
    manifests::route("POST", &format!("/{path}/{{actor_id}}"), agent, call, "")
}

fn route_without_body(path: &str, agent: &str, call: &str) -> String {
    route(path, agent, call) + "payload = \"none\"\n"
}
