//! Many active actors on one host: what each costs, and how fast they are together.

use crate::extent::Extent;
use crate::load::{self, Load, Order};
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::{Server, ServerOptions, Storage};

const ACTORS: [usize; 3] = [1_000, 10_000, 100_000];
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
            actors, by their difference.",
            ACTORS[0], ACTORS[2],
        ),
        charts: ["resident", "messages a second"]
            .map(|figure| Chart { figure: figure.to_owned(), title: format!("{figure}, by active actors") })
            .to_vec(),
        ..Measure::default()
    };
    let few = format!("\n[host]\nmax-live-instances = {FEW_INSTANCES}\n");
    let mut of_few = Vec::new();
    for (who, lines) in [("host", ""), ("few instances", &*few)] {
        for actors in ACTORS {
            eprintln!("actors: {who}, {actors}");
            let (row, resident) = one(who, lines, actors, extent).await?;
            measure.rows.push(row);
            if who == "few instances" {
                of_few.push((actors, resident));
            } else if actors == ACTORS[2] {
                measure.ratios.push(Ratio {
                    name: format!("resident of all with {actors} active actors, in GiB"),
                    value: resident as f64 / KIB.powi(3),
                    wanted: Some(Bound::AtMost(1.0)),
                });
            }
        }
    }
    let (least, most) = (of_few[0], of_few[2]);
    measure.ratios.push(Ratio {
        name: "resident for each active actor without an instance, in KiB".to_owned(),
        value: most.1.saturating_sub(least.1) as f64 / (most.0 - least.0) as f64 / KIB,
        wanted: Some(Bound::AtMost(4.0)),
    });
    Ok(measure)
}

/// A row, and the resident bytes when all actors are active.
async fn one(who: &str, lines: &str, actors: usize, extent: Extent) -> anyhow::Result<(Row, u64)> {
    let options = ServerOptions { storage: Storage::Memory, manifest: lines.to_owned(), log: "warn" };
    let host = Server::host(&options).await?;
    let empty = host.costs()?;
    let all_once = Load {
        order: Order::InTurn,
        most: actors as u64,
        ..Load::chat(host.listen, CONNECTIONS, actors, std::time::Duration::from_secs(600))
    };
    let activated = load::run(&all_once).await?.all_answered()?;
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
    let row = Row { who: who.to_owned(), load: format!("{actors} actors"), figures };
    Ok((row, active.resident.max(loaded.resident)))
}
