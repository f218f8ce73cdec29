//! A neighbour of agents that take all they can get: how slow its answers become, and whether one fails.
//!
//! The [`attacks`] are of other agent types on the same host. [`callers`] make their calls, [`component`] makes some of
//! their components, [`slow_body`] is what some callers send, and [`reminders`] are what one of the attacks is on.

mod attacks;
mod callers;
mod component;
mod reminders;
mod slow_body;

use std::pin::pin;
use std::time::Duration;

use tempfile::TempDir;

use crate::extent::Extent;
use crate::load::{self, Load, Outcome, Pace};
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::{Server, ServerOptions};
use attacks::{Asks, Attack};

/// Messages a second of the neighbour, as many as leave the processors idle most of the time.
const RATE: f64 = 200.0;
const CONNECTIONS: usize = 8;
const ACTORS: usize = 50;
/// For how long the neighbour is asked alone.
const QUIET_SECONDS: f64 = 5.0;
/// The same beside an attack.
const SECONDS: f64 = 8.0;
/// For how long an attack runs before the neighbour is asked.
const LEAD: Duration = Duration::from_secs(1);
/// The nice value of the threads of guests, as for pods: the load generator takes no part of theirs.
const GUEST_NICE: u8 = 10;
/// The time between two looks at the host's memory.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The lines of the neighbour's log that are asked for: it writes more in a second.
const LINES: usize = 500;

/// What was seen of the neighbour and its host.
struct Seen {
    messages: Outcome,
    /// How late its reminders were.
    reminders: Option<Outcome>,
    /// Its lines of the log that the host has kept.
    lines: Option<usize>,
    /// The most bytes of the host that were resident.
    resident: u64,
}

/// Measures the neighbour alone, and beside each attack.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let mut measure = Measure {
        name: "neighbours".to_owned(),
        title: "A neighbour of hostile agents".to_owned(),
        method: method(),
        charts: vec![Chart { figure: "p99".to_owned(), title: "p99 alone and beside an attack".to_owned() }],
        ..Measure::default()
    };
    let components = TempDir::new()?;
    for attack in attacks::all(components.path())? {
        eprintln!("neighbours: {}", attack.name);
        let (quiet, beside) = one(&attack, extent).await?;
        measure.rows.push(row("quiet", attack.name, &quiet));
        measure.rows.push(row("attacked", attack.name, &beside));
        measure.ratios.extend(ratios(&attack, &quiet, &beside));
    }
    Ok(measure)
}

fn method() -> String {
    format!(
        "Embedded backend, store in memory, for the commits on disk. The ChatAgent gets {RATE} messages a second over {CONNECTIONS} \
        connections, for {ACTORS} actors: alone (`quiet`), and while agents of another type take all they can get. Turns that sleep do \
        so for 29 s; loops never end; calls for keys ask for 250,000 at once, which is refused, again and again; timers fire every \
        10 ms, and log 1,000 lines each. Where state is read, 200 actors at most are active, so that most reads come \
        with an activation. Of slow bodies 5,000 bytes a second arrive, at a host of 400 connections. The component \
        with 99 core instances and those with tables and handles are small. Where the attack is on memory, the host \
        has 1 GiB. `resident` is the most that was seen. Beside the reminders, another neighbour has some, too; \
        beside the log, the host is asked for the last {LINES} lines of the neighbour. All types have the weight 1. \
        The host has `guest-nice = {GUEST_NICE}`, as the pods have. Each attack has a host of its own, with its own quiet load."
    )
}

fn row(who: &str, load: &str, seen: &Seen) -> Row {
    let Seen { messages, reminders, lines, resident } = seen;
    let mut figures = vec![
        Figure::new("messages a second", messages.rate(), "/s"),
        Figure::milliseconds("p50", messages.percentile(0.5)),
        Figure::milliseconds("p99", messages.percentile(0.99)),
        Figure::milliseconds("slowest", messages.percentile(1.0)),
        Figure::new("failed", messages.failed as f64, ""),
        Figure::mebibytes("resident", *resident),
    ];
    if let Some(reminders) = reminders {
        figures.push(Figure::milliseconds("latest reminder", reminders.percentile(1.0)));
    }
    if let Some(lines) = lines {
        figures.push(Figure::new("lines kept", *lines as f64, ""));
    }
    Row { who: who.to_owned(), load: load.to_owned(), figures }
}

fn ratios(attack: &Attack, quiet: &Seen, beside: &Seen) -> Vec<Ratio> {
    let ratio = |name: String, value: f64, wanted: Bound| Ratio { name, value, wanted: Some(wanted) };
    let (name, at_most) = (attack.name, Bound::AtMost);
    let p99 = |seen: &Seen| seen.messages.percentile(0.99).as_secs_f64();
    let mut ratios = vec![
        ratio(format!("p99 beside {name} / quiet"), p99(beside) / p99(quiet), at_most(3.0)),
        ratio(format!("failed calls beside {name}"), beside.messages.failed as f64, at_most(0.0)),
    ];
    if let Some(reminders) = &beside.reminders {
        let latest = reminders.percentile(1.0).as_secs_f64();
        ratios.push(ratio(format!("latest reminder beside {name}, in s"), latest, at_most(1.0)));
        ratios.push(ratio(format!("failed reminders beside {name}"), reminders.failed as f64, at_most(0.0)));
    }
    if let Some(lines) = beside.lines {
        let wanted = Bound::AtLeast(LINES as f64);
        ratios.push(ratio(format!("lines of the log kept beside {name}"), lines as f64, wanted));
    }
    if let Some(mebibytes) = attack.memory {
        let budget = (mebibytes << 20) as f64;
        let resident = beside.resident as f64 / budget;
        ratios.push(ratio(format!("resident beside {name} / budget"), resident, at_most(1.25)));
    }
    ratios
}

/// The neighbour alone, and beside an attack.
async fn one(attack: &Attack, extent: Extent) -> anyhow::Result<(Seen, Seen)> {
    let memory = attack.memory.map(|mebibytes| format!("memory = \"{mebibytes}MiB\"\n")).unwrap_or_default();
    let Attack { manifest, host, .. } = attack;
    let manifest = format!("\n{manifest}[host]\nguest-nice = {GUEST_NICE}\n{host}{memory}");
    let log = if attack.asks == Asks::Log { "info" } else { "warn" };
    let host = Server::host(&ServerOptions { storage: attack.storage, manifest, log }).await?;
    // All actors are active, and have their instances.
    let warm = Load::chat(host.listen, CONNECTIONS, ACTORS, LEAD);
    load::run(&warm).await?.all_answered()?;
    let quiet = Load { time: extent.seconds(QUIET_SECONDS), pace: Pace::Rate(RATE), ..warm };
    let beside = Load { time: extent.seconds(SECONDS), ..quiet.clone() };
    let mut alone = observe(&host, &quiet, attack.asks).await?;
    alone.messages = alone.messages.all_answered()?;
    let callers = callers::begin(&attack.calls, host.listen)?;
    tokio::time::sleep(LEAD).await;
    ensure_others_are_active(&host).await?;
    let attacked = observe(&host, &beside, attack.asks).await?;
    drop(callers);
    // Turns that loop or sleep would use up the whole grace of a shutdown.
    drop(host);
    Ok((alone, attacked))
}

/// Looks at the neighbour and its host during a load.
async fn observe(host: &Server, load: &Load, asks: Asks) -> anyhow::Result<Seen> {
    let reminders = async {
        match asks {
            Asks::Reminders => reminders::measure(host.listen, load.time).await.map(Some),
            Asks::Nothing | Asks::Log => Ok(None),
        }
    };
    let mut loads = pin!(async { tokio::try_join!(load::run(load), reminders) });
    let (mut ticks, mut resident) = (tokio::time::interval(POLL_INTERVAL), 0);
    let (messages, reminders) = loop {
        tokio::select! {
            ended = &mut loads => break ended?,
            _ = ticks.tick() => resident = host.costs()?.resident.max(resident),
        }
    };
    let lines = match asks {
        Asks::Log => Some(kept_lines(host).await?),
        Asks::Nothing | Asks::Reminders => None,
    };
    Ok(Seen { messages, reminders, lines, resident })
}

/// The neighbour's lines among those of the log that the host keeps.
async fn kept_lines(host: &Server) -> anyhow::Result<usize> {
    let lines = host.ask_text(&format!("/logs?type=ChatAgent&limit={LINES}")).await?;
    Ok(lines.lines().filter(|line| !line.is_empty()).count())
}

/// An attack that does not run would be harmless.
async fn ensure_others_are_active(host: &Server) -> anyhow::Result<()> {
    let agents = host.ask("/agents").await?;
    let agents = agents["agents"].as_array().into_iter().flatten();
    let mut others = agents.filter(|agent| agent["agent_type"] != "ChatAgent");
    anyhow::ensure!(others.any(|agent| agent["active"].as_u64() > Some(0)), "the attack does not run");
    Ok(())
}
