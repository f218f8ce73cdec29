//! WASI 0.2: clocks, random numbers and the standard streams, which go to the log line by line. File systems, sockets
//! and environment variables exist, because every toolchain's library imports them, and are empty.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use daca_base::clock::Clock;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder};

use super::LogBudget;
use super::log_budget::{MAX_LINE, StdStream};

/// The bytes that a guest may request from the random source at once.
const MAX_RANDOM: u64 = 1024 * 1024;

/// The WASI side of an instance. Nothing is inherited from the host's process.
pub(crate) fn wasi_context(log: &Arc<LogBudget>, clock: Clock) -> WasiCtx {
    WasiCtxBuilder::new()
        .wall_clock(WallClock(clock))
        .stdout(LogStream { log: log.clone(), stream: StdStream::Output })
        .stderr(LogStream { log: log.clone(), stream: StdStream::Error })
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// The time that a guest sees: the host's wall time, which a test moves.
struct WallClock(Clock);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.wall().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// Creates streams whose lines go to the log. All of one kind share the unfinished line.
struct LogStream {
    log: Arc<LogBudget>,
    stream: StdStream,
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Used only by WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineWriter { log: self.log.clone(), stream: self.stream })
    }
}

struct LineWriter {
    log: Arc<LogBudget>,
    stream: StdStream,
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // Nobody else compares it with what `check_write` allows.
        if bytes.len() > MAX_LINE {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        self.log.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}
