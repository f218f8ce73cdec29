//! Many active actors on one host: what each costs, and how fast they are together.

use anyhow::{Context as _, bail};

use crate::extent::Extent;
use crate::load::{self, Load, Order};
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::{Server, ServerOptions, Storage};

const ACTORS: [usize; 3] = [1_000, 10_000, 100_000];
/// Actors with state, of which only as many are active as a host has in the last of [`ACTORS`].
const KNOWN: usize = 1_000_000;
/// The most MiB that may be resident with so many active actors.
const WANTED: [(usize, f64); 2] = [(10_000, 120.0), (100_000, 300.0)];
const CONNECTIONS: usize = 64;
const SECONDS: f64 = 5.0;
/// Live instances of the host that shows what an actor costs whose instance was dropped.
const FEW_INSTANCES: usize = 64;
const KIB: f64 = 1024.0;

/// Measures a host as it is by default, and one with few live instances.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let mut measure = Measure {
        name: "actors".to_owned(),
        title: "Many active actors on one host".to_owned(),
        method: format!(
            "Embedded backend, store in memory. Each actor gets one message, which activates it; then {CONNECTIONS} connections \
            send messages to actors at random. `host` is as it comes; `few instances` may have {FEW_INSTANCES} live instances, so that \
            nearly every actor's was dropped, and what an actor costs without one is the difference in resident memory from {} to {} \
            actors, by their difference. The host with {KNOWN} known actors may have {} active ones: each of all got a message, and then \
            each of those that the messages at random are for.",
            ACTORS[0], ACTORS[2], ACTORS[2],
        ),
        charts: ["resident", "messages a second"]
            .map(|figure| Chart { figure: figure.to_owned(), title: format!("{figure}, by active actors") })
            .to_vec(),
        ..Measure::default()
    };
    let few = format!("\n[host]\nmax-live-instances = {FEW_INSTANCES}\n");
    let (mut of_host, mut of_few) = (Vec::new(), Vec::new());
    for (who, lines, seen) in [("host", "", &mut of_host), ("few instances", &*few, &mut of_few)] {
        for actors in ACTORS {
            eprintln!("actors: {who}, {actors}");
            let (row, of_actors) = one(who, lines, (actors, actors), extent).await?;
            measure.rows.push(row);
            seen.push(of_actors);
        }
    }
    for (actors, mebibytes) in WANTED {
        let seen = of_host.iter().filter(|seen| seen.actors == actors);
        measure.ratios.extend(seen.map(|seen| Ratio {
            name: format!("resident of all with {actors} active actors, in MiB"),
            value: seen.resident as f64 / KIB.powi(2),
            wanted: Some(Bound::AtMost(mebibytes)),
        }));
    }
    let [least, _, most] = &of_few[..] else { bail!("a host was not measured") };
    measure.ratios.push(Ratio {
        name: "resident for each active actor without an instance, in KiB".to_owned(),
        value: most.resident.saturating_sub(least.resident) as f64
            / (most.actors - least.actors) as f64
            / KIB,
        wanted: Some(Bound::AtMost(4.0)),
    });
    measure.ratios.push(of_known(&mut measure.rows, &of_host, extent).await?);
    Ok(measure)
}

/// A host that knows many more actors than are active.
async fn of_known(rows: &mut Vec<Row>, of_host: &[Seen], extent: Extent) -> anyhow::Result<Ratio> {
    let (active, compared) = (ACTORS[2], ACTORS[1]);
    eprintln!("actors: host, {KNOWN} known");
    let lines = format!("\n[host]\nmax-active-actors = {active}\n");
    let (row, seen) = one("host", &lines, (KNOWN, active), extent).await?;
    rows.push(row);
    let with_fewer =
        of_host.iter().find(|seen| seen.actors == compared).context("a host was not measured")?;
    Ok(Ratio {
        name: format!("messages a second, {active} active of {KNOWN} known actors / {compared} actors"),
        value: seen.rate / with_fewer.rate,
        wanted: Some(Bound::AtLeast(0.9)),
    })
}

/// What was seen of a host.
struct Seen {
    actors: usize,
    /// The resident bytes when all of them are active.
    resident: u64,
    /// Messages a second.
    rate: f64,
}

/// A row, for a host that knows so many actors, of which so many are active.
async fn one(
    who: &str,
    lines: &str,
    (known, actors): (usize, usize),
    extent: Extent,
) -> anyhow::Result<(Row, Seen)> {
    let options = ServerOptions { storage: Storage::Memory, manifest: lines.to_owned(), log: "warn" };
    let host = Server::host(&options).await?;
    let empty = host.costs()?;
    let each_once = |actors: usize| Load {
        order: Order::InTurn,
        most: actors as u64,
        ..Load::chat(host.listen, CONNECTIONS, actors, std::time::Duration::from_secs(600))
    };
    if known > actors {
        load::run(&each_once(known)).await?.all_answered()?;
    }
    let activated = load::run(&each_once(actors)).await?.all_answered()?;
    let active = host.costs()?;
    let health = host.ask("/health").await?;
    let load = Load::chat(host.listen, CONNECTIONS, actors, extent.seconds(SECONDS));
    let random = load::run(&load).await?.all_answered()?;
    let loaded = host.costs()?;
    host.process.stop().await?;
    let figures = vec![
        Figure::new("time to activate all", activated.time.as_secs_f64(), "s"),
        Figure::new("activations a second", activated.rate(), "/s"),
        Figure::mebibytes("resident when empty", empty.resident),
        Figure::mebibytes("resident", active.resident),
        Figure::mebibytes("resident after the load", loaded.resident),
        Figure::new("live instances", health["live_instances"].as_f64().unwrap_or_default(), ""),
        Figure::new("messages a second", random.rate(), "/s"),
        Figure::milliseconds("p99", random.percentile(0.99)),
    ];
    let of_known = if known > actors { format!(" of {known}") } else { String::new() };
    let row = Row { who: who.to_owned(), load: format!("{actors}{of_known} actors"), figures };
    Ok((row, Seen { actors, resident: active.resident.max(loaded.resident), rate: random.rate() }))
}
