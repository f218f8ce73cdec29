//! Signals: the first one starts the shutdown, and one that comes a second or more later ends the process at once.
//!
//! A separate thread waits for them, so that they work whatever else the host does, even while it starts and while its
//! last threads end.

use std::time::{Duration, Instant};

use daca_base::telemetry::Output;
use daca_host::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Further signals within this time of the first belong to it: many supervisors signal the process and its group.
const SAME_REQUEST: Duration = Duration::from_secs(1);
/// The exit code after a second signal.
const ENDED_AT_ONCE: i32 = 130;
/// The time that the exit then waits for the last lines of the log.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Has a write beyond a limit on the size of files (`ulimit -f`) fail as on a full disk, instead of ending the process
/// without a word. The handler outlasts its stream and runtime, and is not inherited by other programs.
pub(crate) fn survive_file_limit() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::at("watching for SIGXFSZ", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let _context = runtime.enter();
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop).map_err(failed)
}

/// Watches for SIGINT, SIGTERM and SIGHUP. The first of them cancels the returned token.
pub(crate) fn watch(log: Output) -> Result<CancellationToken, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| Failure::at("watching for signals", &error))?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let wait = move || {
        runtime.block_on(signals.next());
        let first = Instant::now();
        token.cancel();
        loop {
            runtime.block_on(signals.next());
            if first.elapsed() >= SAME_REQUEST {
                break;
            }
        }
        tracing::warn!("second signal: exiting at once");
        log.flush(LAST_LINES);
        std::process::exit(ENDED_AT_ONCE);
    };
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(wait);
    spawned.map_err(|error| Failure::at("watching for signals", &error))?;
    Ok(shutdown)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal or the session is gone. `None` if the process was started to outlive them (`nohup`).
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let watched = |kind: SignalKind, name: &str| {
            signal(kind).map_err(|error| Failure::at(&format!("watching for {name}"), &error))
        };
        let hangup = match is_hangup_ignored() {
            true => None,
            false => Some(watched(SignalKind::hangup(), "SIGHUP")?),
        };
        Ok(Signals {
            interrupt: watched(SignalKind::interrupt(), "SIGINT")?,
            terminate: watched(SignalKind::terminate(), "SIGTERM")?,
            hangup,
        })
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Returns `true` if the process was started with SIGHUP ignored. `SigIgn` of `proc_pid_status(5)` has a bit for each
/// signal, the lowest for 1.
fn is_hangup_ignored() -> bool {
    // Where it cannot be read, SIGHUP ends the host as it ends most programs: none is left behind that nobody sees.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 != 0)
}
