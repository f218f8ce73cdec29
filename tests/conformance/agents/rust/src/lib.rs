//! The agent of the conformance cases in Rust. What each method does is in `tests/conformance/agents/README.md`.

mod payloads;

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daca_sdk::{
    EffectRequest, Error, FailedEffect, Failure, Migration, agent, bindings, config, identity, log, pubsub,
    reminders, secrets, state, timers,
};
use serde::Serialize;
use serde_json::{Value, json};

use payloads::{
    Awaits, Binding, Call, Event, Fail, Hold, Key, Keys, Line, Message, Name, Staged, Sum, Text, Wake, Write,
};

type Reply = Result<Value, Failure>;

/// What is in memory lasts as long as the instance.
#[derive(Default)]
struct Conformance {
    calls: u64,
    held: Vec<Vec<u8>>,
}

#[agent]
impl Conformance {
    #[activate]
    fn activate(&mut self) -> Result<(), Failure> {
        increment("activations")
    }

    #[deactivate]
    fn deactivate(&mut self) -> Result<(), Failure> {
        increment("deactivations")
    }

    #[reminder]
    fn on_reminder(&mut self, name: &str, data: Value) -> Result<(), Failure> {
        record("reminder", name, data)
    }

    #[timer]
    fn on_timer(&mut self, name: &str, data: Value) -> Result<(), Failure> {
        record("timer", name, data)
    }

    #[effect_failed]
    fn on_effect_failed(&mut self, effect: FailedEffect, reason: Error) -> Result<(), Failure> {
        record_failed(&effect, &reason)
    }

    #[migrate(to = "conformance-agents-schema-number-1", keys = ["migrated"])]
    fn migrate(&mut self, from: &str, state: &mut Migration) -> Result<(), Failure> {
        let value: Option<Value> = state.get("migrated")?;
        state.set("migrated", &json!({ "from": from, "value": value }))
    }

    // ---- State.

    pub fn set(&mut self, Write { key, value, ttl }: Write) -> Reply {
        answer(match ttl {
            Some(seconds) => state::set_with_ttl(&key, &value, Duration::from_secs(seconds)),
            None => state::set(&key, &value),
        })
    }

    pub fn get(&self, Key { key }: Key) -> Reply {
        answer(state::get::<Value>(&key))
    }

    pub fn get_many(&self, Keys { keys }: Keys) -> Reply {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        answer(state::get_many::<Value>(&keys))
    }

    pub fn delete(&mut self, Key { key }: Key) -> Reply {
        answer(state::delete(&key))
    }

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

    // ---- Payloads and replies.

    pub fn echo(&self, payload: Value) -> Reply {
        Ok(payload)
    }

    pub fn optional(&self, payload: Option<Value>) -> Reply {
        Ok(payload.unwrap_or_else(|| json!("none")))
    }

    pub fn nothing(&self) -> Result<(), Failure> {
        Ok(())
    }

    pub fn length(&self, Text { text }: Text) -> Reply {
        Ok(json!({ "characters": text.chars().count(), "bytes": text.len() }))
    }

    pub fn repeat(&self, Text { text }: Text) -> Reply {
        Ok(json!(text.repeat(100)))
    }

    pub fn sum(&self, Sum { a, b }: Sum) -> Reply {
        let number = |text: &str| text.parse::<i128>().map_err(|e| Failure::invalid(e.to_string()));
        Ok(json!((number(&a)? + number(&b)?).to_string()))
    }

    // ---- Turns that do not end well.

    pub fn fail(&self, Fail { case, message }: Fail) -> Reply {
        Err(case.failure(message))
    }

    pub fn throw(&self, Message { message }: Message) -> Reply {
        panic!("{message}")
    }

    pub fn stage(&mut self, staged: Staged) -> Reply {
        staged.stage()?;
        match staged.ending.as_str() {
            "well" => Ok(json!("well")),
            "throw" => panic!("as it was told"),
            case => Err(Fail::of(case).failure("as it was told".to_owned())),
        }
    }

    pub fn hold(&mut self, Hold { mebibytes }: Hold) -> Reply {
        self.held.push(black_box(vec![1; mebibytes << 20]));
        Ok(json!(self.held.len()))
    }

    pub fn spin(&self) -> Reply {
        loop {
            black_box(0);
        }
    }

    pub fn awaits(&self, Awaits { count }: Awaits) -> Reply {
        let (ready, taken) = channel::<u64>();
        let one = |_| ready.send(1).ok().and_then(|()| taken.recv().ok());
        Ok(json!((0..count).filter_map(one).sum::<u64>()))
    }

    // ---- Effects, and what acts at once.

    pub fn publish(&mut self, Event { topic, event, delivered }: Event) -> Reply {
        let (component, topic) = topic.split_once('/').unwrap_or((&topic, ""));
        let effect = pubsub::publish(component, topic, &event).and_then(|effect| match delivered {
            Some(line) => effect.log_outcome(&line, "undeliverable"),
            None => Ok(()),
        });
        answer(effect)
    }

    pub fn send(&mut self, Binding { binding, operation, data, metadata }: Binding) -> Reply {
        answer(bindings::send(&binding, &operation, data, &payloads::pairs(&metadata)).map(|_effect| ()))
    }

    pub fn invoke_binding(&self, Binding { binding, operation, data, metadata }: Binding) -> Reply {
        let response = bindings::invoke(&binding, &operation, data, &payloads::pairs(&metadata));
        answer(response.map(|response| String::from_utf8_lossy(&response.data).into_owned()))
    }

    pub fn call_actor(&self, call: Call) -> Reply {
        answer(call.make())
    }

    pub fn failed_effects(&self) -> Reply {
        answer(list("failed"))
    }

    // ---- Reminders and timers.

    pub fn register_reminder(&mut self, wake: Wake) -> Reply {
        answer(reminders::register(&wake.name, wake.schedule(), &wake.data))
    }

    pub fn get_reminder(&self, Name { name }: Name) -> Reply {
        answer(reminders::get(&name).map(|found| found.map(|it| Wake::new(name, it.schedule, it.data))))
    }

    pub fn unregister_reminder(&mut self, Name { name }: Name) -> Reply {
        answer(reminders::unregister(&name))
    }

    pub fn register_timer(&mut self, wake: Wake) -> Reply {
        answer(timers::register(&wake.name, wake.schedule(), &wake.data))
    }

    pub fn get_timer(&self, Name { name }: Name) -> Reply {
        answer(timers::get(&name).map(|found| found.map(|it| Wake::new(name, it.schedule, it.data))))
    }

    pub fn unregister_timer(&mut self, Name { name }: Name) -> Reply {
        answer(timers::unregister(&name))
    }

    pub fn fired(&self) -> Reply {
        answer(list("fired"))
    }

    // ---- What the host tells and is told.

    pub fn activations(&self) -> Reply {
        answer(counts())
    }

    pub fn calls(&mut self) -> Reply {
        self.calls += 1;
        Ok(json!(self.calls))
    }

    pub fn who_am_i(&self) -> Reply {
        Ok(json!({
            "agent_type": identity::agent_type(),
            "actor_id": identity::actor_id(),
            "turn_id": identity::turn_id(),
        }))
    }

    pub fn setting(&self, Key { key }: Key) -> Reply {
        answer(config::get(&key))
    }

    pub fn secret(&self, Name { name }: Name) -> Reply {
        answer(secrets::get(&name))
    }

    pub fn log(&self, Line { level, message }: Line) -> Result<(), Failure> {
        log::write(level.into(), "", format_args!("{message}"));
        Ok(())
    }

    pub fn random(&self) -> Reply {
        Ok(json!(RandomState::new().hash_one(0).to_string()))
    }

    pub fn clock(&self) -> Reply {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(json!(now.as_millis() as u64))
    }
}

/// The value, or what the host rejected: the turn ends well then.
fn answer<T: Serialize>(result: Result<T, Error>) -> Reply {
    let value = result.map_or_else(|error| Ok(json!({ "error": error.code() })), serde_json::to_value);
    value.map_err(|e| Failure::failed(e.to_string()))
}

fn increment(key: &str) -> Result<(), Failure> {
    let count = state::get::<u64>(key)?.unwrap_or(0);
    Ok(state::set(key, &(count + 1))?)
}

fn counts() -> Result<Value, Error> {
    let activations = state::get::<u64>("activations")?.unwrap_or(0);
    let deactivations = state::get::<u64>("deactivations")?.unwrap_or(0);
    Ok(json!({ "activations": activations, "deactivations": deactivations }))
}

/// Records a firing. Data with `fails_without` fails as long as the state has no such key.
fn record(kind: &str, name: &str, data: Value) -> Result<(), Failure> {
    if let Some(key) = data.get("fails_without").and_then(Value::as_str)
        && state::get_bytes(key)?.is_none()
    {
        return Err(Failure::failed(format!("the {kind} {name} waits for the key {key}")));
    }
    append("fired", json!({ "kind": kind, "name": name, "data": data }))
}

/// Records an effect that was given up.
fn record_failed(effect: &FailedEffect, reason: &Error) -> Result<(), Failure> {
    let (kind, target) = match &effect.request {
        EffectRequest::Publish { pubsub, topic, .. } => ("publish", format!("{pubsub}/{topic}")),
        EffectRequest::Send { binding, operation, .. } => ("send", format!("{binding}/{operation}")),
    };
    let data = String::from_utf8_lossy(effect.payload());
    let failed = json!({
        "kind": kind, "target": target, "data": data, "attempts": effect.attempts,
        "reason": { "code": reason.code(), "message": reason.message() },
    });
    append("failed", failed)
}

/// The list under a key of the state.
fn list(key: &str) -> Result<Vec<Value>, Error> {
    Ok(state::get(key)?.unwrap_or_default())
}

fn append(key: &str, value: Value) -> Result<(), Failure> {
    let mut all = list(key)?;
    all.push(value);
    Ok(state::set(key, &all)?)
}
