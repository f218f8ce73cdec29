//! From the save of a script to the first answer by what was saved, with `daca dev`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use daca_tests::{exchange, replaced};
use tempfile::TempDir;

use super::contender::Contender;
use super::running::manifest;
use crate::extent::Extent;
use crate::server::{Server, Storage};

pub(super) const SAVES: usize = 10;
/// Between two saves.
const PAUSE: Duration = Duration::from_millis(300);
/// Only a host that does not serve what was saved takes so long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The line of the script that is changed: what a method returns that only reads, so that no answer waits for the disk.
const LINE: &str = "return this.history();";

/// The times of all saves.
pub(super) async fn times(extent: Extent) -> anyhow::Result<Vec<Duration>> {
    let script = String::from_utf8(Contender::Script.read()?)?;
    let folder = TempDir::new()?;
    let file = folder.path().join("chat_agent.ts");
    std::fs::write(&file, &script)?;
    // On the disk, as with its author: the record of what serves is written there.
    let host = Server::host_of("dev", &manifest(&file, None)?, Storage::Disk, "warn").await?;
    wait_answered(host.listen, "HTTP/1.1 200")?;
    let mut times = Vec::new();
    for number in 0..extent.times(SAVES) {
        eprintln!("languages: save {}", number + 1);
        let words = format!("saved {number}");
        let changed = replaced(&script, LINE, &format!("return [{words:?}];"))?;
        tokio::time::sleep(PAUSE).await;
        let start = Instant::now();
        std::fs::write(&file, changed)?;
        wait_answered(host.listen, &words)?;
        times.push(start.elapsed());
    }
    host.process.stop().await?;
    Ok(times)
}

/// Asks each millisecond, on a connection of its own, until an answer has these words.
fn wait_answered(listen: SocketAddr, words: &str) -> anyhow::Result<()> {
    let request = format!("GET /chat/saved/history HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n");
    let start = Instant::now();
    while !exchange(&listen.to_string(), request.as_bytes()).is_ok_and(|answer| answer.contains(words)) {
        ensure!(start.elapsed() < TIMEOUT, "no answer has come with {words:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
