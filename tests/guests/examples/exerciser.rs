//! Does what it is told, with every import that there is. The host must do what the contract says, no more and no less.
//!
//! What the host refuses is no failure here: it is the reply `{"error": {"case": "denied", "message": "…"}}`, so that a
//! test sees the case. The turn ends well then, and what it staged before is committed.

#[path = "exerciser/firings.rs"]
mod firings;
#[path = "exerciser/payloads.rs"]
mod payloads;
#[path = "shared/refusal.rs"]
mod refusal;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daca_sdk::{
    Effect, Error, Failure, agent, bindings, config, identity, log, pubsub, reminders, secrets, state, timers,
};
use serde::Serialize;
use serde_json::{Value, json};

use firings::record;
use payloads::{
    Awaited, Binding, Call, Doomed, Event, EventBytes, Fail, Key, Keys, Line, Name, Outside, Printed, Time,
    Wake, Wrapped, Write, WriteBytes, WriteCall,
};

type Reply = Result<Value, Failure>;

/// What is in memory lasts as long as the instance.
#[derive(Default)]
struct Exerciser {
    /// The calls of `Calls` that this instance has seen.
    calls: u64,
    /// An effect of some turn, which another has no right to.
    kept: Option<Effect>,
}

#[agent]
impl Exerciser {
    // ---- Hooks.

    /// Counts the instances, in state, under `activations`. With the setting `fail-in-activate`, it fails instead.
    #[activate]
    fn activate(&mut self) -> Result<(), Failure> {
        if let Some(message) = config::get("fail-in-activate")? {
            return Err(Failure::failed(message));
        }
        increment("activations")
    }

    /// Counts the deactivations, in state, under `deactivated`.
    #[deactivate]
    fn deactivate(&mut self) -> Result<(), Failure> {
        increment("deactivated")
    }

    #[reminder]
    fn on_reminder(&mut self, name: &str, data: Value) -> Result<(), Failure> {
        record("reminder", name, data)
    }

    #[timer]
    fn on_timer(&mut self, name: &str, data: Value) -> Result<(), Failure> {
        record("timer", name, data)
    }

    /// The firings that were recorded, oldest first: `[{kind, name, data}]`.
    pub fn fired(&self) -> Reply {
        answer(state::get::<Value>("fired").map(|fired| fired.unwrap_or_else(|| json!([]))))
    }

    /// How many instances there were.
    pub fn activations(&self) -> Reply {
        answer(state::get::<u64>("activations"))
    }

    /// How often this instance was asked, this time included: 1 says that the instance is new.
    pub fn calls(&mut self) -> Result<u64, Failure> {
        self.calls += 1;
        Ok(self.calls)
    }

    // ---- State.

    pub fn set_state(&mut self, Write { key, value, ttl_seconds }: Write) -> Reply {
        answer(match ttl_seconds {
            Some(seconds) => state::set_with_ttl(&key, &value, Duration::from_secs(seconds)),
            None => state::set(&key, &value),
        })
    }

    /// Sets a key to a value within so many lists.
    pub fn set_wrapped(&mut self, Wrapped { key, value, lists }: Wrapped) -> Reply {
        answer(state::set(&key, &(0..lists).fold(value, |inner, _| json!([inner]))))
    }

    pub fn set_bytes(&mut self, WriteBytes { key, bytes }: WriteBytes) -> Reply {
        answer(state::set_bytes(&key, &bytes))
    }

    pub fn get_state(&self, Key { key }: Key) -> Reply {
        answer(state::get::<Value>(&key))
    }

    pub fn get_bytes(&self, Key { key }: Key) -> Reply {
        answer(state::get_bytes(&key))
    }

    pub fn get_many(&self, Keys { keys }: Keys) -> Reply {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        answer(state::get_many::<Value>(&keys))
    }

    pub fn delete_state(&mut self, Key { key }: Key) -> Reply {
        answer(state::delete(&key))
    }

    /// Sets a key, reads it, deletes it, reads it, sets it again and reads it, all in one turn: `[value, null, value]`.
    pub fn read_own_writes(&mut self, Write { key, value, .. }: Write) -> Reply {
        let all = || {
            state::set(&key, &value)?;
            let set = state::get::<Value>(&key)?;
            state::delete(&key)?;
            let deleted = state::get::<Value>(&key)?;
            state::set(&key, &value)?;
            let again = state::get_many::<Value>(&[&key])?.pop().flatten();
            Ok([set, deleted, again])
        };
        answer(all())
    }

    /// Adds one to a number, and waits between reading and writing it: two such turns at the same time would count once.
    pub fn add_slowly(&mut self, Key { key }: Key) -> Reply {
        let number = state::get::<u64>(&key)?.unwrap_or(0);
        std::thread::sleep(Duration::from_millis(20));
        answer(state::set(&key, &(number + 1)))
    }

    /// Writes a key, makes a call, and answers the call's reply, what the key has afterwards, and what it had before.
    pub fn write_call_read(&mut self, WriteCall { key, value, call }: WriteCall) -> Reply {
        let before = state::get::<Value>(&key)?;
        if let Some(value) = &value {
            state::set(&key, value)?;
        }
        let reply = answer(call.make())?;
        let after = state::get::<Value>(&key)?;
        Ok(json!({ "before": before, "reply": reply, "after": after }))
    }

    /// Stages one of everything that can be staged, and then fails: nothing of it may happen.
    pub fn set_then_fail(&mut self, doomed: Doomed) -> Reply {
        doomed.stage()?;
        Err(doomed.fault.failure())
    }

    /// Stages one of everything that can be staged, and then traps: nothing of it may happen.
    pub fn set_then_trap(&mut self, doomed: Doomed) -> Reply {
        doomed.stage()?;
        panic!("as it was told")
    }

    /// Stages one of everything that can be staged: all of it happens, or nothing.
    pub fn set_then_end_well(&mut self, doomed: Doomed) -> Reply {
        answer(doomed.stage())
    }

    // ---- Effects.

    pub fn publish(&mut self, Event { pubsub, topic, event, outcome }: Event) -> Reply {
        answer(pubsub::publish(&pubsub, &topic, &event).and_then(|effect| outcome.ask(effect)))
    }

    pub fn publish_bytes(&mut self, EventBytes { pubsub, topic, bytes }: EventBytes) -> Reply {
        answer(pubsub::publish_bytes(&pubsub, &topic, &bytes).map(|effect| json!({ "effect": effect.id() })))
    }

    pub fn send(&mut self, Binding { binding, operation, data, metadata, outcome }: Binding) -> Reply {
        let effect = bindings::send(&binding, &operation, data, &pairs(&metadata));
        answer(effect.and_then(|effect| outcome.ask(effect)))
    }

    /// Publishes, and keeps the effect in memory.
    pub fn keep_effect(&mut self, Event { pubsub, topic, event, .. }: Event) -> Reply {
        answer(pubsub::publish(&pubsub, &topic, &event).map(|effect| {
            let id = effect.id();
            self.kept = Some(effect);
            json!({ "effect": id })
        }))
    }

    /// Asks for the outcome of the effect that `KeepEffect` kept, in a turn that it does not belong to.
    pub fn log_kept_effect(&mut self) -> Reply {
        match self.kept.take() {
            Some(effect) => answer(effect.log_outcome("delivered", "undeliverable")),
            None => Err(Failure::not_found("no effect is kept: the instance is new")),
        }
    }

    // ---- What acts at once.

    pub fn invoke_binding(&self, Binding { binding, operation, data, metadata, .. }: Binding) -> Reply {
        answer(bindings::invoke(&binding, &operation, data, &pairs(&metadata)).map(|response| {
            let data = String::from_utf8_lossy(&response.data);
            let metadata: BTreeMap<_, _> = response.metadata.into_iter().collect();
            json!({ "data": data, "metadata": metadata })
        }))
    }

    pub fn call_actor(&self, call: Call) -> Reply {
        answer(call.make())
    }

    /// Calls an actor and then fails: the call has happened all the same.
    pub fn call_actor_then_fail(&self, call: Call) -> Reply {
        call.make()?;
        Err(Failure::failed("as it was told, after the call"))
    }

    // ---- Reminders and timers.

    pub fn register_reminder(&mut self, wake: Wake) -> Reply {
        answer(reminders::register(&wake.name, wake.schedule(), &wake.data))
    }

    pub fn get_reminder(&self, Name { name }: Name) -> Reply {
        answer(
            reminders::get(&name).map(|found| found.map(|found| Wake::new(name, found.schedule, found.data))),
        )
    }

    pub fn unregister_reminder(&mut self, Name { name }: Name) -> Reply {
        answer(reminders::unregister(&name))
    }

    pub fn register_timer(&mut self, wake: Wake) -> Reply {
        answer(timers::register(&wake.name, wake.schedule(), &wake.data))
    }

    pub fn get_timer(&self, Name { name }: Name) -> Reply {
        answer(timers::get(&name).map(|found| found.map(|found| Wake::new(name, found.schedule, found.data))))
    }

    pub fn unregister_timer(&mut self, Name { name }: Name) -> Reply {
        answer(timers::unregister(&name))
    }

    // ---- What the host tells and is told.

    pub fn get_secret(&self, Name { name }: Name) -> Reply {
        answer(secrets::get(&name))
    }

    pub fn get_config(&self, Key { key }: Key) -> Reply {
        answer(config::get(&key))
    }

    pub fn get_all_config(&self) -> Reply {
        answer(config::all())
    }

    pub fn who_am_i(&self) -> Reply {
        Ok(json!({
            "agent_type": identity::agent_type(),
            "actor_id": identity::actor_id(),
            "turn_id": identity::turn_id(),
        }))
    }

    pub fn log(&self, Line { level, context, message }: Line) -> Result<(), Failure> {
        log::write(level.into(), &context, format_args!("{message}"));
        Ok(())
    }

    /// Prints a line to stdout, and one to stderr.
    pub fn print(&self, Printed { line }: Printed) -> Result<(), Failure> {
        println!("out: {line}");
        eprintln!("err: {line}");
        Ok(())
    }

    /// Writes to stderr without a line end.
    pub fn print_unended(&self, Printed { line }: Printed) -> Result<(), Failure> {
        eprint!("{line}");
        Ok(())
    }

    // ---- Payloads and replies.

    pub fn echo(&self, payload: Value) -> Reply {
        Ok(payload)
    }

    /// Fails, with the fault that is asked for.
    pub fn fail(&self, fail: Fail) -> Reply {
        Err(fail.failure())
    }

    // ---- The world around.

    /// What there is of files, environment and network. It should be nothing.
    pub fn environment(&self, Outside { file, address }: Outside) -> Reply {
        let text = |result: std::io::Result<String>| result.unwrap_or_else(|e| format!("error: {e}"));
        let list = |path| {
            let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).and_then(Iterator::collect);
            entries.map(|entries| format!("{entries:?}"))
        };
        Ok(json!({
            "read_file": text(std::fs::read_to_string(file)),
            "write_file": text(std::fs::write("/tmp/written-by-a-guest", "x").map(|()| "written".to_owned())),
            "list_root": text(list("/")),
            "variables": std::env::vars().collect::<BTreeMap<_, _>>(),
            "arguments": std::env::args().collect::<Vec<_>>(),
            "tcp_connect": text(std::net::TcpStream::connect(&*address).map(|_| "connected".to_owned())),
            "tcp_listen": text(std::net::TcpListener::bind("127.0.0.1:0").map(|_| "listening".to_owned())),
        }))
    }

    /// `{wall_ms, monotonic_ns}`: since 1970, and how long it took to ask.
    pub fn clock(&self) -> Reply {
        let start = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(json!({ "wall_ms": wall.as_millis() as u64, "monotonic_ns": start.elapsed().as_nanos() as u64 }))
    }

    /// A number that follows from the instance's random seed.
    pub fn random(&self) -> Result<u64, Failure> {
        Ok(RandomState::new().hash_one(0))
    }

    /// Waits in the host.
    pub fn sleep(&self, Time { ms }: Time) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_millis(ms));
        Ok(())
    }

    /// Makes a call again and again until its reply is something: the turn lasts until a test lets it end. Then it fails if it
    /// is told to.
    pub fn wait_for(&self, Awaited { call, then_fail }: Awaited) -> Result<(), Failure> {
        while !call.clone().make().is_ok_and(|reply| !reply.is_null()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        then_fail.map_or(Ok(()), |fail| Err(fail.failure()))
    }

    /// Works in the guest.
    pub fn spin(&self, Time { ms }: Time) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(ms) {
            for n in 0..10_000 {
                black_box(n);
            }
        }
        Ok(())
    }
}

// ---- Payloads.
// ---- Helpers.

/// The value, or what the host refused.
fn answer<T: Serialize>(result: Result<T, Error>) -> Reply {
    let value = result
        .map_or_else(|e| Ok(json!({ "error": refusal::refusal(&e) })), |value| serde_json::to_value(value));
    value.map_err(|e| Failure::failed(e.to_string()))
}

fn pairs(metadata: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn increment(key: &str) -> Result<(), Failure> {
    let count = state::get::<u64>(key)?.unwrap_or(0);
    Ok(state::set(key, &(count + 1))?)
}
