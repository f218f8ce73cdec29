//! `daca top`: what the agent types use, and the actors that use most, again and again.

use std::collections::HashMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use super::Form;
use super::admin::{self, Admin, Error};
use super::table::{Column, TextTable};
use daca_model::admin::{Top, TopActor, TopOrder, TopType};

/// The time between two looks. Rates are those of it.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves to the upper left corner of a terminal, and clears it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";
/// What is not measured.
const UNKNOWN: &str = "–";

/// The arguments of the command.
pub struct TopRequest {
    /// `true` for one page, even on a terminal.
    pub once: bool,
    /// The number of actors.
    pub actors: usize,
    /// Only actors of this agent type.
    pub agent_type: Option<String>,
    /// What they are ordered by.
    pub by: TopOrder,
}

/// Writes pages until nobody reads them any more: one, unless the output is a terminal. JSON is the host's own, once.
pub async fn top(
    admin: &Admin,
    request: &TopRequest,
    form: Form,
    output: &mut (impl Write + IsTerminal),
) -> Result<(), Error> {
    let TopRequest { once, actors, agent_type, by } = request;
    let actors = actors.to_string();
    let query = [("actors", Some(&*actors)), ("type", agent_type.as_deref()), ("by", Some(by.as_str()))];
    let path = admin::path(&["top"], &query);
    let mut text = admin.get(&path).await?;
    if form == Form::Json {
        return written(output, &format!("{text}\n")).map(drop);
    }
    let goes_on = !once && output.is_terminal();
    loop {
        let before = admin::read::<Top>(&text)?;
        tokio::time::sleep(INTERVAL).await;
        text = admin.get(&path).await?;
        let page = page(&before, &admin::read::<Top>(&text)?);
        let page = if goes_on { format!("{CLEAR}{page}") } else { page };
        if !written(output, &page)? || !goes_on {
            return Ok(());
        }
    }
}

/// Returns `false` if nobody reads any more.
fn written(output: &mut impl Write, text: &str) -> Result<bool, Error> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).map_err(Error::Output),
    }
}

fn page(before: &Top, now: &Top) -> String {
    let types = types(before, now);
    format!("{types}\n\n{}\n", actors(now))
}

/// The time in which something was used.
#[derive(Clone, Copy)]
struct Interval {
    milliseconds: u64,
}

impl Interval {
    fn between(before: u64, now: u64) -> Interval {
        Interval { milliseconds: now.saturating_sub(before).max(1) }
    }

    /// So many as a number a second.
    fn a_second(self, number: u64) -> u64 {
        number.saturating_mul(1_000) / self.milliseconds
    }

    /// Milliseconds of a processor as a part of one.
    fn processor(self, used: u64) -> String {
        format!("{} %", used.saturating_mul(100) / self.milliseconds)
    }
}

fn types(before: &Top, now: &Top) -> String {
    let mut table = TextTable::new([
        Column::Text("TYPE"),
        Column::Number("WEIGHT"),
        Column::Number("PROCESSOR"),
        Column::Number("MEMORY"),
        Column::Number("TURNS/S"),
        Column::Number("ACTIVE"),
        Column::Number("QUEUED"),
        Column::Number("INSTANCES"),
        Column::Number("LOG/S"),
        Column::Number("STORAGE"),
        Column::Text("HELD BACK"),
    ]);
    let earlier = before.types.iter().map(|of| (&*of.agent_type, of)).collect::<HashMap<_, _>>();
    let interval = Interval::between(before.clock_ms, now.clock_ms);
    // Of a host that has started again there is no difference.
    let a_second = |now: u64, before: u64| interval.a_second(now.saturating_sub(before));
    let mut types =
        now.types.iter().map(|of| (of, earlier.get(&*of.agent_type).copied())).collect::<Vec<_>>();
    types.sort_by_key(|(of, before)| std::cmp::Reverse(busy(of, *before)));
    for (of, before) in types {
        let before = before.unwrap_or(of);
        let processor = of.processor_ms.zip(before.processor_ms);
        let processor = processor.map(|(now, before)| interval.processor(now.saturating_sub(before)));
        table.row([
            of.agent_type.clone(),
            of.weight.to_string(),
            processor.unwrap_or_else(|| UNKNOWN.to_owned()),
            of.memory.map_or_else(|| UNKNOWN.to_owned(), size),
            a_second(of.turns, before.turns).to_string(),
            of.active.to_string(),
            of.queued.to_string(),
            of.instances.to_string(),
            size(a_second(of.log_bytes, before.log_bytes)),
            of.storage.map_or_else(|| UNKNOWN.to_owned(), size),
            of.held_back.join(", "),
        ]);
    }
    table.to_string()
}

/// What a type has used since the last look: processor time, and turns.
fn busy(of: &TopType, before: Option<&TopType>) -> (u64, u64) {
    let processor = |of: &TopType| of.processor_ms.unwrap_or_default();
    let used = processor(of).saturating_sub(before.map_or(0, processor));
    (used, of.turns.saturating_sub(before.map_or(0, |before| before.turns)))
}

fn actors(top: &Top) -> String {
    let mut table = TextTable::new([
        Column::Text("ACTOR"),
        Column::Text("STATE"),
        Column::Number("PROCESSOR"),
        Column::Number("MEMORY"),
        Column::Number("TURNS/S"),
        Column::Number("QUEUED"),
        Column::Number("LOG/S"),
    ]);
    let interval = Interval::between(top.since_ms, top.clock_ms);
    for actor in &top.actors {
        table.row([
            format!("{}/{}", actor.agent_type, actor.actor_id),
            state(actor).to_owned(),
            interval.processor(actor.lately.processor_ms),
            size(actor.memory),
            interval.a_second(actor.lately.turns).to_string(),
            actor.queued.to_string(),
            size(interval.a_second(actor.lately.log_bytes)),
        ]);
    }
    table.to_string()
}

fn state(actor: &TopActor) -> &'static str {
    match (actor.running, actor.instance) {
        (true, _) => "running",
        (false, true) => "idle",
        (false, false) => "idle, no instance",
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    while tenths >= 10 * 1_024 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        unit => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(clock_ms: u64, turns: u64, held_back: &str) -> Result<Top, Error> {
        admin::read(&format!(
            r#"{{"clock_ms": {clock_ms}, "types": [
                {{"agent_type": "A", "weight": 1, "turns": 5, "active": 1, "queued": 0, "instances": 1, "log_bytes": 0,
                  "storage": 2048, "held_back": []}},
                {{"agent_type": "Hog", "weight": 3, "processor_ms": {turns}, "turns": {turns}, "active": 2, "queued": 7,
                  "instances": 2, "log_bytes": {turns}000, "held_back": [{held_back}]}}],
              "since_ms": 1000, "actors": [{{"agent_type": "Hog", "actor_id": "\u001b[2J", "running": true, "queued": 7,
                "instance": true, "memory": 3145728, "lately": {{"processor_ms": 500, "turns": 6, "log_bytes": 4096}},
                "total": {{"processor_ms": 900, "turns": 9, "log_bytes": 9000}}}}],
              "pools": [], "new": 1}}"#
        ))
    }

    /// A type that is new has no rates yet; what others name cannot command a terminal.
    #[test]
    fn who_uses_most_comes_first_with_its_rates() -> Result<(), Error> {
        let before = answer(1_000, 100, "")?;
        let now = answer(3_000, 1_100, "\"turns in flight\"")?;
        let expected = "\
TYPE  WEIGHT  PROCESSOR  MEMORY  TURNS/S  ACTIVE  QUEUED  INSTANCES      LOG/S  STORAGE  HELD BACK
Hog        3       50 %       –      500       2       7          2  488.2 KiB        –  turns in flight
A          1          –       –        0       1       0          1        0 B  2.0 KiB";
        assert_eq!(types(&before, &now), expected);
        let expected = "\
ACTOR          STATE    PROCESSOR   MEMORY  TURNS/S  QUEUED    LOG/S
Hog/\\u{1b}[2J  running       25 %  3.0 MiB        3       7  2.0 KiB";
        assert_eq!(actors(&now), expected);
        Ok(())
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(
            [0, 1_023, 1_024, 1_536, 10 << 20].map(size),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10.0 MiB"]
        );
        assert_eq!(size(u64::MAX / 10), "1677721.5 TiB");
    }
}
