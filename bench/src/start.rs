//! A cold start: from the start of the process to its first answer, with and without compiled code at hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use daca_tests::{Process, chat_agent, exchange, folders, ports};
use tempfile::TempDir;

use crate::extent::Extent;
use crate::report::{Bound, Figure, Measure, Ratio, Row};
use crate::server::{ServerOptions, Storage, host_program, local};

const STARTS: usize = 9;
/// Only a host that never answers takes so long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Measures starts in turn, without and with the cache.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let (mut cold, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..extent.times(STARTS) {
        let folder = TempDir::new()?;
        cold.push(one(&folder).await?);
        cached.push(one(&folder).await?);
    }
    let [cold, cached] = [cold, cached].map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let bytes = |path: std::path::PathBuf| -> anyhow::Result<u64> {
        Ok(path.metadata().with_context(|| format!("reading {}", path.display()))?.len())
    };
    let row = |who: &str, figures| Row { who: who.to_owned(), load: String::new(), figures };
    Ok(Measure {
        name: "start".to_owned(),
        title: "From the start of the process to its first answer".to_owned(),
        method: format!(
            "Embedded backend, an empty store on disk. The clock runs from the start of the process to the answer of its first \
            `POST /chat/{{id}}`, which is tried each millisecond. The middle one of {STARTS}."
        ),
        rows: vec![
            row("compiling", vec![Figure::milliseconds("start to first answer", cold)]),
            row("cached", vec![Figure::milliseconds("start to first answer", cached)]),
            row("binary", vec![Figure::mebibytes("size", bytes(folders::released_daca())?)]),
            row("guest", vec![Figure::mebibytes("size", bytes(chat_agent())?)]),
        ],
        ratios: vec![Ratio {
            name: "start to first answer, cached, in ms".to_owned(),
            value: cached.as_secs_f64() * 1e3,
            wanted: Some(Bound::AtMost(100.0)),
        }],
        ..Measure::default()
    })
}

async fn one(folder: &TempDir) -> anyhow::Result<Duration> {
    let options = ServerOptions { storage: Storage::Disk, manifest: String::new(), log: "info" };
    let (listen, admin) = (local(ports::free()?), local(ports::free()?));
    let program = host_program(folder.path(), &options, listen, admin)?;
    let start = Instant::now();
    let process = Process::start(program)?;
    while !is_answered(listen) {
        if start.elapsed() > TIMEOUT || !process.is_running() {
            bail!("the host has not answered: {}", process.log_lines()?.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let time = start.elapsed();
    process.stop().await?;
    Ok(time)
}

/// Sends a message and reads the status of its answer, on a connection of its own.
fn is_answered(listen: SocketAddr) -> bool {
    let body = r#"{"role":"user","content":"Hi"}"#;
    let request = format!(
        "POST /chat/first HTTP/1.1\r\nHost: {listen}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
        Connection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(&listen.to_string(), request.as_bytes()).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
