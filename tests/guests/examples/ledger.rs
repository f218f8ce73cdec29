//! Notes the number of every call in its state, publishes it and sends it as an SMS. Whatever happens to the servers around
//! it, a call that was answered must be noted once, in the order of the calls, and its event and its SMS must follow.

use daca_sdk::{Failure, agent, bindings, config, identity, pubsub, state};
use serde::Deserialize;
use serde_json::json;

const ENTRIES: &str = "entries";

#[derive(Default)]
struct Ledger;

#[derive(Deserialize)]
struct Entry {
    number: u64,
    /// The call traps, after everything else, and nothing of it may be kept.
    #[serde(default)]
    trap: bool,
}

#[agent]
impl Ledger {
    /// Notes a number. Answers how many there are.
    pub fn add(&mut self, entry: Entry) -> Result<usize, Failure> {
        let number = entry.number;
        let mut entries = self.entries()?;
        entries.push(number);
        state::set(ENTRIES, &entries)?;
        if let Some(announce) = config::get("announce")? {
            let actor = identity::actor_id();
            if announce.contains("event") {
                pubsub::publish("daca-pubsub", "ledger", &json!({ "actor_id": actor, "number": number }))?;
            }
            if announce.contains("sms") {
                let text = format!("{actor} {number}");
                bindings::send("twilio-binding", "create", &text, &[("toNumber", "+1987654321")])?;
            }
        }
        if entry.trap {
            panic!("as it was told");
        }
        Ok(entries.len())
    }

    /// The numbers, in the order in which they were noted.
    pub fn entries(&self) -> Result<Vec<u64>, Failure> {
        Ok(state::get(ENTRIES)?.unwrap_or_default())
    }
}
