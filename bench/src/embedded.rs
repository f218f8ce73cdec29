//! HTTP on the embedded backend: the host against the same routes with native logic on the same store.

use std::time::Duration;

use daca_tests::Process;

use crate::extent::Extent;
use crate::load::{self, Load, Order, Outcome};
use crate::process::Costs;
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::{Server, ServerOptions, Storage};

const CONNECTIONS: [usize; 3] = [1, 8, 64];
const ACTORS: [usize; 3] = [1, 200, 10_000];
/// Loads of each kind, of which the middle one counts.
const ROUNDS: usize = 3;
const SECONDS: f64 = 1.5;

/// Measures every number of connections and actors, with a store on disk and in memory.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let mut measure = Measure {
        name: "embedded".to_owned(),
        title: "HTTP on the embedded backend".to_owned(),
        method: "Closed loop of `POST /chat/{id}`, all actors active, the next one at random. `native` is an axum server with the ChatAgent's logic \
            compiled natively on the same store, as somebody would write it for this one agent. Both run at the same time, and \
            loads alternate; of three loads of each the middle one counts. `disk` waits for the disk with each commit, \
            `memory` is a file system in memory, where an fsync does nothing. Neither logs a message."
            .to_owned(),
        charts: vec![Chart { figure: "messages a second".to_owned(), title: "Messages a second".to_owned() }],
        ..Measure::default()
    };
    for storage in [Storage::Disk, Storage::Memory] {
        both(storage, extent, &mut measure).await?;
    }
    Ok(measure)
}

async fn both(storage: Storage, extent: Extent, measure: &mut Measure) -> anyhow::Result<()> {
    let options = ServerOptions { storage, manifest: String::new(), log: "warn" };
    let host = Server::host(&options).await?;
    let native = Server::native(storage).await?;
    let place = if storage == Storage::Disk { "disk" } else { "memory" };
    for actors in ACTORS {
        for server in [&host, &native] {
            let all_once = Load {
                order: Order::InTurn,
                most: actors as u64,
                ..Load::chat(server.listen, 8, actors, Duration::from_secs(60))
            };
            load::run(&all_once).await?.all_answered()?;
        }
        for connections in CONNECTIONS {
            let name = format!("{place}, {}, {actors} actors", plural(connections));
            eprintln!("embedded: {name}");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..extent.times(ROUNDS) {
                for (server, outcomes) in [(&host, &mut ours), (&native, &mut theirs)] {
                    outcomes.push(one(server, connections, actors, extent).await?);
                }
            }
            let (ours, theirs) = (middle(ours), middle(theirs));
            let value = ours.outcome.rate() / theirs.outcome.rate();
            let wanted = Some(Bound::AtLeast(0.90));
            measure.ratios.push(Ratio { name: format!("throughput, {name}"), value, wanted });
            measure.rows.extend([ours.row("host", &name), theirs.row("native", &name)]);
        }
    }
    stop([host, native].map(|server| server.process)).await
}

async fn stop(processes: [Process; 2]) -> anyhow::Result<()> {
    for process in processes {
        process.stop().await?;
    }
    Ok(())
}

/// "1 connection", "8 connections".
pub(crate) fn plural(connections: usize) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}

/// A load on a server, and what it cost.
struct Loaded {
    outcome: Outcome,
    before: Costs,
    after: Costs,
}

async fn one(server: &Server, connections: usize, actors: usize, extent: Extent) -> anyhow::Result<Loaded> {
    let load = Load::chat(server.listen, connections, actors, extent.seconds(SECONDS));
    let before = server.costs()?;
    let outcome = load::run(&load).await?.all_answered()?;
    Ok(Loaded { outcome, before, after: server.costs()? })
}

fn middle(mut loads: Vec<Loaded>) -> Loaded {
    loads.sort_by(|a, b| a.outcome.rate().total_cmp(&b.outcome.rate()));
    let middle = loads.len() / 2;
    loads.swap_remove(middle)
}

impl Loaded {
    fn row(&self, who: &str, load: &str) -> Row {
        let cpu = self.after.cpu.saturating_sub(self.before.cpu);
        let figures = vec![
            Figure::new("messages a second", self.outcome.rate(), "/s"),
            Figure::milliseconds("p50", self.outcome.percentile(0.5)),
            Figure::milliseconds("p99", self.outcome.percentile(0.99)),
            Figure::new("CPU for 1,000", cpu.as_secs_f64() * 1e3 / self.outcome.answered as f64, "s"),
            Figure::mebibytes("resident", self.after.resident),
        ];
        Row { who: who.to_owned(), load: load.to_owned(), figures }
    }
}
