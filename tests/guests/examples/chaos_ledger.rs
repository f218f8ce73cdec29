//! Writes down everything that reaches it, in order, with who wrote it. Whatever happens to the servers around it, what was
//! acknowledged must be in it once, at its place, and each entry's effects must follow.
//!
//! An entry has its position, the host (a setting) and the instance that wrote it. So two writers of one position are seen, even
//! when the second one has overwritten the first: each entry is also published, to the topic `record`.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use daca_sdk::{
    Failure, Schedule, actors, agent, bindings, config, identity, pubsub, reminders, state, timers,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const COUNT: &str = "count";
const TICKS: &str = "ticks";
/// The reminder that fires again and again.
const TICK: &str = "tick";
/// Entries of one value of the state, so that a turn does not write the whole ledger.
const PAGE: u64 = 32;

#[derive(Default)]
struct Ledger {
    /// A random name of the instance, which lasts as long as it.
    instance: Option<String>,
}

/// What a call or message asks for.
#[derive(Deserialize)]
struct Order {
    op: String,
    /// `call` or `kafka`.
    kind: String,
    #[serde(default)]
    sms: bool,
    /// An actor that is told by an event.
    tell: Option<String>,
    /// An actor that is called.
    pass: Option<String>,
    remind_ms: Option<u64>,
    timer_ms: Option<u64>,
    tick_ms: Option<u64>,
    /// The call traps, after everything else, and nothing of it may be kept.
    #[serde(default)]
    trap: bool,
}

#[derive(Serialize, Deserialize)]
struct Told {
    op: String,
    to: String,
}

#[derive(Deserialize)]
struct Number {
    number: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    position: u64,
    op: String,
    kind: String,
    host: String,
    instance: String,
}

#[agent]
impl Ledger {
    /// Writes an entry, and does what else is asked. Answers the entry.
    pub fn add(&mut self, order: Order) -> Result<Entry, Failure> {
        let op = &order.op;
        if let Some(other) = &order.pass {
            actors::invoke::<_, Entry>("Ledger", other, "Passed", &json!({ "op": op, "to": other }))?;
        }
        let entry = self.append(&order.kind, op)?;
        if order.sms {
            let Entry { position, host, .. } = &entry;
            let text = format!("{} {op} {position} {host}", identity::actor_id());
            bindings::send("twilio-binding", "create", &text, &[("toNumber", "+1987654321")])?;
        }
        if let Some(to) = order.tell {
            pubsub::publish("daca-pubsub", "told", &Told { op: op.clone(), to })?;
        }
        let after = |ms| Schedule::after(Duration::from_millis(ms));
        if let Some(ms) = order.remind_ms {
            reminders::register(op, after(ms), &Value::Null)?;
        }
        if let Some(ms) = order.tick_ms {
            reminders::register(TICK, after(ms).every(Duration::from_millis(ms)), &Value::Null)?;
        }
        if let Some(ms) = order.timer_ms {
            timers::register(op, after(ms), &Value::Null)?;
        }
        if order.trap {
            panic!("as it was told");
        }
        Ok(entry)
    }

    /// An event of another actor has come.
    pub fn heard(&mut self, told: Told) -> Result<Entry, Failure> {
        self.append("event", &told.op)
    }

    /// Another actor calls.
    pub fn passed(&mut self, told: Told) -> Result<Entry, Failure> {
        self.append("actor", &told.op)
    }

    /// The entries of a page, how many there are in all, how often `tick` has fired, and who answers.
    pub fn page(&self, page: Number) -> Result<Value, Failure> {
        let entries = state::get::<Vec<Entry>>(&key_of(page.number))?.unwrap_or_default();
        let count = state::get::<u64>(COUNT)?.unwrap_or(0);
        let ticks = state::get::<u64>(TICKS)?.unwrap_or(0);
        Ok(json!({ "entries": entries, "count": count, "ticks": ticks, "host": host()? }))
    }

    #[reminder]
    fn on_reminder(&mut self, name: &str, _data: Value) -> Result<(), Failure> {
        if name == TICK {
            let ticks = state::get::<u64>(TICKS)?.unwrap_or(0);
            return Ok(state::set(TICKS, &(ticks + 1))?);
        }
        self.append("reminder", name).map(drop)
    }

    #[timer]
    fn on_timer(&mut self, name: &str, _data: Value) -> Result<(), Failure> {
        self.append("timer", name).map(drop)
    }
}

impl Ledger {
    fn append(&mut self, kind: &str, op: &str) -> Result<Entry, Failure> {
        let position = state::get::<u64>(COUNT)?.unwrap_or(0);
        let key = key_of(position / PAGE);
        let mut entries = state::get::<Vec<Entry>>(&key)?.unwrap_or_default();
        let instance =
            self.instance.get_or_insert_with(|| format!("{:016x}", RandomState::new().hash_one(0))).clone();
        let entry = Entry { position, op: op.to_owned(), kind: kind.to_owned(), host: host()?, instance };
        entries.push(entry.clone());
        state::set(&key, &entries)?;
        state::set(COUNT, &(position + 1))?;
        let record = json!({ "actor": identity::actor_id(), "entry": &entry });
        pubsub::publish("daca-pubsub", "record", &record)?;
        Ok(entry)
    }
}

fn host() -> Result<String, Failure> {
    Ok(config::get("host")?.unwrap_or_default())
}

fn key_of(page: u64) -> String {
    format!("page-{page}")
}
