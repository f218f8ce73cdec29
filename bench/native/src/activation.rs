//! A new instance and its first message: as the host makes it, and in a bare loop on wasmtime.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::Bytes;
use serde_json::json;

use crate::bare::Bare;
use crate::common::Common;
use crate::host::{FEW, Parts};

/// The first message of an instance.
pub(crate) const MESSAGE: &str = r#"{"role":"user","content":"How are you today?"}"#;
/// How long one side runs before it is the other's turn.
const BATCH: Duration = Duration::from_millis(150);

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

/// What makes instances.
#[derive(Clone)]
pub(crate) enum Side {
    Host(Arc<Parts>),
    Bare(Arc<Bare>),
}

impl Side {
    async fn activation(&self) -> anyhow::Result<()> {
        match self {
            Side::Host(parts) => {
                let mut actor = parts.live("user-1").await?;
                parts.turn(&mut actor, Bytes::from_static(MESSAGE.as_bytes())).await?;
            }
            Side::Bare(bare) => bare.activation(MESSAGE.as_bytes()).await.map_err(from_wasmtime)?,
        }
        Ok(())
    }
}

/// Measures, and prints activations a second.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let compiles = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let parts = Arc::new(compiles.block_on(Parts::new(&arguments.common.component, FEW))?);
    let bare = Arc::new(Bare::new(&arguments.common.component, &parts.options).map_err(from_wasmtime)?);
    let sides = [Side::Host(parts), Side::Bare(bare)];
    let threads = thread::available_parallelism()?.get();
    let end = Instant::now() + arguments.common.time();
    let mut rates = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    while Instant::now() < end {
        for (side, of_side) in sides.iter().zip(&mut rates) {
            for (count, of_count) in [1, threads].into_iter().zip(of_side) {
                of_count.push(rate(side, count)?);
            }
        }
    }
    let [[host_one, host_all], [bare_one, bare_all]] = rates.map(|side| side.map(median));
    println!(
        "{}",
        json!({
            "host_1_per_s": host_one,
            "host_all_per_s": host_all,
            "bare_1_per_s": bare_one,
            "bare_all_per_s": bare_all,
            "threads": threads,
        })
    );
    Ok(())
}

/// Activations a second of so many threads together.
pub(crate) fn rate(side: &Side, threads: usize) -> anyhow::Result<f64> {
    let work = |side: Side| {
        move || -> anyhow::Result<u64> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (start, mut count) = (Instant::now(), 0);
                while start.elapsed() < BATCH {
                    side.activation().await?;
                    count += 1;
                }
                Ok(count)
            })
        }
    };
    let start = Instant::now();
    let running = (0..threads).map(|_| thread::spawn(work(side.clone()))).collect::<Vec<_>>();
    let mut count = 0;
    for thread in running {
        count += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// The middle of some rates.
pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// wasmtime's error is of a type of its own.
fn from_wasmtime(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
