//! A swap under load: how slow the slowest answers are in the second in which a new version takes over.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use daca_tests::chat_agent;
use daca_tests::deploy::with_section;

use crate::extent::Extent;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::{Server, ServerOptions, Storage};

const ACTORS: [usize; 2] = [1_000, 10_000];
const CONNECTIONS: usize = 64;
/// The load has this share of the throughput of a closed loop.
const RATE_SHARE: f64 = 0.5;
const SWAPS: usize = 5;
/// From the start of the load to the swap, and from the swap to the end.
const REST: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

/// Measures swaps with few and many active actors.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let mut measure = Measure {
        name: "swap".to_owned(),
        title: "A swap under load".to_owned(),
        method: format!(
            "Embedded backend, store in memory. All actors are active. {CONNECTIONS} connections at a fixed rate, {} % of what a closed \
            loop reaches, so that a stall shows. After {} s `PUT /agents/ChatAgent/component` brings a version that the host has never \
            seen: it is checked, compiled and tried, and takes over. `rest` are the {} s before, `swap` the second from the request on. \
            Of {SWAPS} swaps the middle one by its ratio counts.",
            RATE_SHARE * 100.0,
            REST.as_secs(),
            REST.as_secs(),
        ),
        charts: vec![Chart {
            figure: "p99".to_owned(),
            title: "p99 at rest and in the second of a swap".to_owned(),
        }],
        ..Measure::default()
    };
    for actors in ACTORS {
        let swaps = swaps(actors, extent).await?;
        let middle = &swaps[swaps.len() / 2];
        let load = format!("{actors} actors");
        measure.rows.push(middle.row("rest", &load, middle.rest, middle.rest_p50));
        measure.rows.push(middle.row("swap", &load, middle.swap, middle.swap_p50));
        measure.ratios.push(Ratio {
            name: format!("p99 in the swap / at rest, {load}"),
            value: middle.ratio(),
            wanted: Some(Bound::AtMost(2.0)),
        });
        let all = swaps.iter().map(|swap| format!("{:.2}", swap.ratio())).collect::<Vec<_>>().join(", ");
        measure.notes.push(format!("{load}: the ratios of all swaps were {all}."));
    }
    Ok(measure)
}

/// One swap.
struct Swap {
    rate: f64,
    rest: Duration,
    rest_p50: Duration,
    swap: Duration,
    swap_p50: Duration,
    /// From the request to its answer.
    took: Duration,
}

impl Swap {
    fn ratio(&self) -> f64 {
        self.swap.as_secs_f64() / self.rest.as_secs_f64()
    }

    fn row(&self, who: &str, load: &str, p99: Duration, p50: Duration) -> Row {
        let figures = vec![
            Figure::new("messages a second", self.rate, "/s"),
            Figure::milliseconds("p50", p50),
            Figure::milliseconds("p99", p99),
            Figure::milliseconds("swap took", self.took),
        ];
        Row { who: who.to_owned(), load: load.to_owned(), figures }
    }
}

async fn swaps(actors: usize, extent: Extent) -> anyhow::Result<Vec<Swap>> {
    let options = ServerOptions { storage: Storage::Memory, manifest: String::new(), log: "warn" };
    let host = Server::host(&options).await?;
    let all_once = Load {
        order: Order::InTurn,
        most: actors as u64,
        ..Load::chat(host.listen, CONNECTIONS, actors, Duration::from_secs(60))
    };
    load::run(&all_once).await?.all_answered()?;
    let closed = Load::chat(host.listen, CONNECTIONS, actors, extent.seconds(3.0));
    let rate = load::run(&closed).await?.all_answered()?.rate() * RATE_SHARE;
    let mut swaps = Vec::new();
    for number in 0..extent.times(SWAPS) {
        eprintln!("swap: {actors} actors, number {}", number + 1);
        swaps.push(swap(&host, actors, rate, number).await?);
    }
    host.process.stop().await?;
    swaps.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    Ok(swaps)
}

async fn swap(host: &Server, actors: usize, rate: f64, number: usize) -> anyhow::Result<Swap> {
    let load = Load { pace: Pace::Rate(rate), ..Load::chat(host.listen, CONNECTIONS, actors, REST + AFTER) };
    let component = another_version(number)?;
    let begun = Instant::now();
    let loading = tokio::spawn(async move { load::run(&load).await });
    tokio::time::sleep(REST).await;
    let at = begun.elapsed();
    host.deploy(component).await?;
    let took = begun.elapsed() - at;
    let outcome: Outcome = loading.await??.all_answered()?;
    let rest = |share| outcome.percentile_between(SECOND / 2, at, share);
    let swap = |share| outcome.percentile_between(at, at + SECOND, share);
    Ok(Swap {
        rate: outcome.rate(),
        rest: rest(0.99),
        rest_p50: rest(0.5),
        swap: swap(0.99),
        swap_p50: swap(0.5),
        took,
    })
}

/// The ChatAgent with a custom section behind it: the same logic, and other bytes, so a version that no host has seen.
fn another_version(number: usize) -> anyhow::Result<Vec<u8>> {
    let path = chat_agent();
    let wasm = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let content = (u64::from(std::process::id()) << 32) | number as u64;
    Ok(with_section(&wasm, content.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_swap_is_on_another_version() -> anyhow::Result<()> {
        if !chat_agent().is_file() {
            return Ok(());
        }
        assert_ne!(another_version(1)?, another_version(2)?);
        Ok(())
    }
}
