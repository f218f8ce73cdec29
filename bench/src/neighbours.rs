//! A neighbour of agents that take all they can get: how slow its answers become, and whether one fails.
//!
//! The attacks are of another agent type on the same host.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context as _;
use daca_tests::{client, manifest_of};
use tokio::task::JoinSet;

use crate::extent::Extent;
use crate::load::{self, Load, Outcome, Pace};
use crate::report::{Chart, Figure, Measure, Ratio, Row, Wanted};
use crate::server::{Server, ServerOptions, Storage};

/// Messages a second of the neighbour, as many as leave the processors idle most of the time.
const RATE: f64 = 200.0;
const CONNECTIONS: usize = 8;
const ACTORS: usize = 50;
const SECONDS: f64 = 10.0;
/// For how long an attack runs before the neighbour is asked.
const LEAD: Duration = Duration::from_secs(1);

/// What the other type does.
struct Attack {
    name: &'static str,
    /// The first part of the route's path.
    path: &'static str,
    /// Calls at the same time. Each is made again when it is answered.
    calls: usize,
}

/// Measures the neighbour alone, and beside each attack.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let mut measure = Measure {
        name: "neighbours".to_owned(),
        title: "A neighbour of hostile agents".to_owned(),
        method: format!(
            "Embedded backend, store in memory. The ChatAgent gets {RATE} messages a second over {CONNECTIONS} connections, for {ACTORS} \
            actors: alone (`quiet`), and while calls of another type take all they can get. `loops` are calls that never return; `keys` ask \
            for 250,000 keys at once, which is refused, again and again. All types have the weight 1. Each attack has a host of its own, \
            with its own quiet load."
        ),
        charts: vec![Chart { figure: "p99".to_owned(), title: "p99 alone and beside an attack".to_owned() }],
        ..Measure::default()
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let attacks = [
        Attack { name: "a loop for each processor", path: "loop", calls: processors },
        Attack { name: "50 loops", path: "loop", calls: 50 },
        Attack { name: "400 loops", path: "loop", calls: 400 },
        Attack { name: "16 calls for keys", path: "keys", calls: 16 },
    ];
    for attack in attacks {
        eprintln!("neighbours: {}", attack.name);
        let (quiet, beside) = one(&attack, extent).await?;
        measure.rows.push(row("quiet", attack.name, &quiet));
        measure.rows.push(row("attacked", attack.name, &beside));
        measure.ratios.push(Ratio {
            name: format!("p99 beside {} / quiet", attack.name),
            value: beside.percentile(0.99).as_secs_f64() / quiet.percentile(0.99).as_secs_f64(),
            wanted: Some(Wanted::AtMost(3.0)),
        });
        measure.ratios.push(Ratio {
            name: format!("failed calls beside {}", attack.name),
            value: beside.failed as f64,
            wanted: Some(Wanted::AtMost(0.0)),
        });
    }
    Ok(measure)
}

fn row(who: &str, load: &str, outcome: &Outcome) -> Row {
    let figures = vec![
        Figure::new("messages a second", outcome.rate(), "/s"),
        Figure::milliseconds("p50", outcome.percentile(0.5)),
        Figure::milliseconds("p99", outcome.percentile(0.99)),
        Figure::milliseconds("slowest", outcome.percentile(1.0)),
        Figure::new("failed", outcome.failed as f64, ""),
    ];
    Row { who: who.to_owned(), load: load.to_owned(), figures }
}

/// The manifest of the attackers, with a route for each attack.
fn attackers() -> String {
    let limits = "limits = { running-time = \"60s\", turn-time = \"60s\" }";
    let route = |path: &str, agent: &str, call: &str| {
        format!(
            "[[routes]]\nmethod = \"POST\"\npath = \"/{path}/{{id}}\"\nagent = \"{agent}\"\ncall = \"{call}\"\n\
            actor-id = {{ path = \"id\" }}\npayload = \"none\"\n"
        )
    };
    [
        manifest_of("Loops", "loops", limits),
        manifest_of("Floods", "floods", limits),
        route("loop", "Loops", "Loop"),
        route("keys", "Floods", "ManyKeys"),
    ]
    .concat()
}

/// The neighbour alone, and beside an attack.
async fn one(attack: &Attack, extent: Extent) -> anyhow::Result<(Outcome, Outcome)> {
    let manifest = format!("\n{}", attackers());
    let host = Server::host(&ServerOptions { storage: Storage::Memory, manifest, log: "warn" }).await?;
    // All actors are active, and have their instances.
    let warm = Load::chat(host.listen, CONNECTIONS, ACTORS, LEAD);
    load::run(&warm).await?.all_answered()?;
    let load = Load { time: extent.seconds(SECONDS), pace: Pace::Rate(RATE), ..warm };
    let quiet = load::run(&load).await?.all_answered()?;
    let calls = begin(attack, &host)?;
    tokio::time::sleep(LEAD).await;
    let turns = host.ask("/health").await?["turns_in_flight"].as_u64().context("the health has no turns")?;
    // Short calls may be between two turns.
    anyhow::ensure!(turns > 0, "the attack does not run");
    let beside = load::run(&load).await?;
    drop(calls);
    // Turns that loop would use up the whole grace of a shutdown.
    drop(host);
    Ok((quiet, beside))
}

/// Makes the calls of an attack as long as the set lives.
fn begin(attack: &Attack, host: &Server) -> anyhow::Result<JoinSet<()>> {
    let client = client()?;
    let mut calls = JoinSet::new();
    for number in 0..attack.calls {
        let (client, url) = (client.clone(), format!("http://{}/{}/{number}", host.listen, attack.path));
        calls.spawn(async move {
            loop {
                // Whatever is answered, and when nothing is.
                if client.post(&url).send().await.is_err() {
                    tokio::time::sleep(LEAD / 10).await;
                }
            }
        });
    }
    Ok(calls)
}
