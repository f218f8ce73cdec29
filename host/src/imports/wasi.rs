//! WASI 0.2: clocks, random and the standard streams, which go to the log line by line. File systems, sockets and environment
//! are there, because every toolchain's library asks for them, and are empty.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::LogBudget;

/// Bytes of a line that has no end yet. A longer one is logged in pieces.
const LONGEST_LINE: usize = 8 * 1024;
/// Bytes that a guest may ask of the random source at once.
const MOST_RANDOM: u64 = 1024 * 1024;

/// The WASI side of an instance. Nothing is inherited from the host's process.
pub(crate) fn wasi_context(log: &Arc<LogBudget>) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(LogStream { log: log.clone(), level: tracing::Level::INFO })
        .stderr(LogStream { log: log.clone(), level: tracing::Level::WARN })
        .max_random_size(MOST_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Makes streams whose lines go to the log.
struct LogStream {
    log: Arc<LogBudget>,
    level: tracing::Level,
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 alone, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineWriter { log: self.log.clone(), level: self.level, line: Vec::new() })
    }
}

struct LineWriter {
    log: Arc<LogBudget>,
    level: tracing::Level,
    line: Vec<u8>,
}

impl LineWriter {
    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.log.log(self.level, &String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            for part in text.chunks(LONGEST_LINE) {
                if self.line.len() + part.len() > LONGEST_LINE {
                    self.end_line();
                }
                self.line.extend_from_slice(part);
            }
            if ends {
                self.end_line();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LONGEST_LINE)
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.end_line();
    }
}
