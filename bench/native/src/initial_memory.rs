//! A new instance and its first message, of one ChatAgent in both ways to begin: its data copied, and its data mapped.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::activation::{MESSAGE, Side, median, rate};
use crate::common::Common;
use crate::host::{FEW, Parts};

/// Live instances whose memory is measured together.
const LIVE: usize = FEW / 2;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

/// Measures, and prints activations a second, and the bytes that a live instance takes.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let parts = |bytes| runtime.block_on(Parts::mapping_from(bytes, &arguments.common.component));
    let parts = [Arc::new(parts(u64::MAX)?), Arc::new(parts(0)?)];
    // Before anything is left of others.
    let [copied_bytes, mapped_bytes] =
        [bytes_of_one(&runtime, &parts[0])?, bytes_of_one(&runtime, &parts[1])?];
    let threads = thread::available_parallelism()?.get();
    let end = Instant::now() + arguments.common.time();
    let mut rates = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    while Instant::now() < end {
        for (parts, of_parts) in parts.iter().zip(&mut rates) {
            for (count, of_count) in [1, threads].into_iter().zip(of_parts) {
                of_count.push(rate(&Side::Host(parts.clone()), count)?);
            }
        }
    }
    let [[copied_one, copied_all], [mapped_one, mapped_all]] = rates.map(|side| side.map(median));
    println!(
        "{}",
        json!({
            "copied_1_per_s": copied_one,
            "copied_all_per_s": copied_all,
            "copied_bytes": copied_bytes,
            "mapped_1_per_s": mapped_one,
            "mapped_all_per_s": mapped_all,
            "mapped_bytes": mapped_bytes,
            "threads": threads,
        })
    );
    Ok(())
}

/// The bytes that a live instance takes after its first message, without those that all instances share.
fn bytes_of_one(runtime: &Runtime, parts: &Parts) -> anyhow::Result<u64> {
    runtime.block_on(async {
        let mut actors = Vec::new();
        // The first one also makes what all share.
        let mut before = 0;
        for number in 0..=LIVE {
            let mut actor = parts.live(&format!("user-{number}")).await?;
            parts.turn(&mut actor, Bytes::from_static(MESSAGE.as_bytes())).await?;
            actors.push(actor);
            if number == 0 {
                before = anonymous()?;
            }
        }
        Ok(anonymous()?.saturating_sub(before) / LIVE as u64)
    })
}

/// The bytes of this process that are of no file, image or other process.
fn anonymous() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
