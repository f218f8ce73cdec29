//! The host's side of a compiler process: starts it, feeds it, and ends it.
//!
//! The component goes to its standard input, and the code comes from its standard output. There is no intermediate file
//! that others could write or that would be left behind. Its input stays open as long as the code is wanted: when this
//! process ends, however it ends, the input ends too, and the child with it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use super::child::{CompilerArguments, Priority};
use super::options::Compiling;
use crate::component::refusal::{Refusal, invalid_script, rejected, unavailable, unknown_import};
use crate::component::settings::CodeSettings;
use daca_base::ErrorCode;
use daca_manifest::CompileLimits;

/// This program, even if its file was replaced or removed in the meantime: the code of another build would not fit.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// The maximum number of mebibytes of a component for which there is time.
const MAX_MEBIBYTES: u64 = 20;
/// The ratio of wall-clock time to processor time. With one thread and half a processor it takes two.
const WALL_CLOCK_FACTOR: u32 = 4;
/// The minimum wall-clock time: a small component must not fail because the machine is busy.
const MIN_WALL_CLOCK: Duration = Duration::from_secs(120);
/// How often the host checks the progress of a process with less than normal priority.
const POLL_INTERVAL: Duration = Duration::from_secs(3);
/// The minimum share of a processor, as a divisor, that counts as progress.
const MIN_SHARE_DIVISOR: u32 = 4;
/// The bytes of code that are accepted for each byte of a component, in addition to [`SMALL_CODE`]. Optimised Rust, C
/// and Python have four.
const CODE_FOR_EACH_BYTE: u64 = 8;
/// The bytes of code that every component may have.
const SMALL_CODE: u64 = 16 * 1024 * 1024;
/// The maximum length of the child's failure message in bytes.
const MAX_WORDS: u64 = 4 * 1024;
/// `USER_HZ`, in which `/proc` counts: 100 on every architecture that wasmtime compiles for.
const TICKS_PER_SECOND: u32 = 100;

/// How a process ended.
enum ChildEnd {
    Done {
        status: ExitStatus,
        code: Vec<u8>,
        words: String,
    },
    /// Its code is longer than that of any honest component.
    TooMuchCode,
    /// It is starved by other processes.
    Starved,
    OutOfTime,
}

/// Why there is no code.
pub(super) struct CompilerFailure {
    pub(super) refusal: Refusal,
    /// Compiling the same bytes again would fail in the same way, whatever else the machine does.
    pub(super) is_final: bool,
}

impl CompilerFailure {
    fn for_now(refusal: Refusal) -> CompilerFailure {
        CompilerFailure { refusal, is_final: false }
    }

    fn for_good(refusal: Refusal) -> CompilerFailure {
        CompilerFailure { refusal, is_final: true }
    }
}

/// Compiles a component in a separate process. Dropping the future ends the process.
pub(super) async fn compile(
    settings: CodeSettings,
    limits: CompileLimits,
    wasm: Bytes,
    compiling: Compiling,
) -> Result<Vec<u8>, CompilerFailure> {
    let time = time_for(limits.time, wasm.len() as u64);
    let wall_clock = (time * WALL_CLOCK_FACTOR).max(MIN_WALL_CLOCK);
    let deadline = tokio::time::Instant::now() + wall_clock;
    let arguments = |priority| CompilerArguments::new(settings, time, limits.memory, priority, false);
    // No process may raise its own priority without a privilege (`sched(7)`), so a starved one is ended and replaced by
    // another. Little is lost, or it would not have been starved.
    let priorities: &[Priority] = match compiling {
        Compiling::Starting => &[Priority::Normal],
        Compiling::Serving => &[Priority::Idle, Priority::Nice, Priority::Normal],
    };
    let mut end = ChildEnd::Starved;
    for priority in priorities {
        end = attempt(&arguments(*priority), &wasm, deadline).await.map_err(CompilerFailure::for_now)?;
        if !matches!(end, ChildEnd::Starved) {
            break;
        }
    }
    match end {
        ChildEnd::Done { status, code, .. } if status.success() => Ok(code),
        ChildEnd::Done { status, words, .. } => Err(failure(status, &words, time, limits)),
        ChildEnd::TooMuchCode => {
            Err(CompilerFailure::for_good(too_much("its code is many times as long as the component")))
        }
        // By the wall clock, so the machine may be the cause.
        ChildEnd::Starved | ChildEnd::OutOfTime => Err(CompilerFailure::for_now(too_long(wall_clock))),
    }
}

/// Makes a script ready for the engine in a separate process. Returns the process's answer, in JSON. It takes
/// milliseconds, so it has a normal priority. Dropping the future ends the process.
pub(super) async fn prepare_script(
    settings: CodeSettings,
    limits: CompileLimits,
    text: Bytes,
) -> Result<Vec<u8>, CompilerFailure> {
    let arguments = CompilerArguments::new(settings, limits.time, limits.memory, Priority::Normal, true);
    let deadline = tokio::time::Instant::now() + MIN_WALL_CLOCK;
    match attempt(&arguments, &text, deadline).await.map_err(CompilerFailure::for_now)? {
        ChildEnd::Done { status, code, .. } if status.success() => Ok(code),
        // A stack that is too small for the script: the kernel's signal, or that of Rust's own guard.
        ChildEnd::Done { status, .. } if matches!(status.signal(), Some(6 | 11)) => {
            Err(CompilerFailure::for_good(invalid_script("it is nested too deeply")))
        }
        ChildEnd::Done { status, words, .. } => Err(failure(status, &words, limits.time, limits)),
        ChildEnd::TooMuchCode => Err(CompilerFailure::for_good(invalid_script("its types take too much"))),
        ChildEnd::Starved | ChildEnd::OutOfTime => Err(CompilerFailure::for_now(too_long(MIN_WALL_CLOCK))),
    }
}

/// The processor time for so many bytes.
fn time_for(each: Duration, bytes: u64) -> Duration {
    let mebibytes = bytes.div_ceil(1024 * 1024).clamp(1, MAX_MEBIBYTES);
    each * u32::try_from(mebibytes).unwrap_or(1)
}

async fn attempt(
    arguments: &CompilerArguments,
    wasm: &Bytes,
    deadline: tokio::time::Instant,
) -> Result<ChildEnd, Refusal> {
    let mut child = start(arguments).map_err(|error| unavailable(&error.to_string()))?;
    let stdin = child.stdin.take();
    let most_code = SMALL_CODE + CODE_FOR_EACH_BYTE * wasm.len() as u64;
    let starved = starved(child.id(), arguments.priority());
    let end = tokio::select! {
        done = finish(&mut child, most_code) => return done.map_err(|error| unavailable(&error.to_string())),
        never = feed(stdin, wasm) => match never {},
        () = starved => ChildEnd::Starved,
        () = tokio::time::sleep_until(deadline) => ChildEnd::OutOfTime,
    };
    // Fails if it has just ended by itself. Its end is not waited for: a starved process takes long to die, too. The
    // runtime reaps it.
    child.start_kill().ok();
    Ok(end)
}

fn start(arguments: &CompilerArguments) -> std::io::Result<Child> {
    Command::new(THIS_PROGRAM)
        .arg0("daca")
        .args(arguments.as_words())
        // It compiles untrusted code, and needs none of the host's secrets.
        .env_clear()
        .current_dir("/")
        // A signal to the host's process group, such as Ctrl-C, is for the host to handle: the child ends with its
        // input.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Writes the component, and holds the input open.
async fn feed(stdin: Option<ChildStdin>, wasm: &Bytes) -> std::convert::Infallible {
    if let Some(mut stdin) = stdin {
        let length = (wasm.len() as u64).to_le_bytes();
        for part in [&length[..], wasm] {
            // A child that does not read to the end has exited, and `finish` sees how.
            if stdin.write_all(part).await.is_err() {
                break;
            }
        }
        return std::future::pending().await;
    }
    std::future::pending().await
}

async fn finish(child: &mut Child, most_code: u64) -> std::io::Result<ChildEnd> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut code, mut words) = (Vec::new(), Vec::new());
    let read_code = async {
        match stdout {
            // One more byte shows that there is too much. The child then ends, since nobody reads further.
            Some(stdout) => stdout.take(most_code + 1).read_to_end(&mut code).await,
            None => Ok(0),
        }
    };
    let read_words = async {
        match stderr {
            Some(stderr) => stderr.take(MAX_WORDS).read_to_end(&mut words).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(read_code, read_words)?;
    if code.len() as u64 > most_code {
        return Ok(ChildEnd::TooMuchCode);
    }
    let status = child.wait().await?;
    Ok(ChildEnd::Done { status, code, words: String::from_utf8_lossy(&words).trim().to_owned() })
}

/// Ends when a process with less than normal priority has had less than a quarter of a processor so far.
async fn starved(pid: Option<u32>, priority: Priority) {
    let Some(pid) = pid.filter(|_| priority != Priority::Normal) else { return std::future::pending().await };
    let started = Instant::now();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let had = processor_time(pid).unwrap_or(Duration::MAX);
        if had < started.elapsed() / MIN_SHARE_DIVISOR {
            return;
        }
    }
}

/// The processor time of a process so far: the fields `utime` and `stime` of `proc_pid_stat(5)`.
fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name, which may hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11).map_while(|field| field.parse::<u32>().ok());
    let ticks = fields.next()?.saturating_add(fields.next()?);
    Some(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}

fn failure(status: ExitStatus, words: &str, time: Duration, limits: CompileLimits) -> CompilerFailure {
    const CPU_TIME: i32 = 24;
    const KILLED: i32 = 9;
    const ABORTED: i32 = 6;
    if let Some(import) = words.strip_prefix(super::child::UNKNOWN_IMPORT) {
        return CompilerFailure::for_good(unknown_import(import));
    }
    match status.signal() {
        Some(CPU_TIME) => CompilerFailure::for_good(too_long(time)),
        // The second signal for exhausted processor time, if the first one was ignored; otherwise it is the kernel's,
        // for which this process volunteers when memory is short.
        Some(KILLED) => CompilerFailure::for_now(too_much(
            "the compiler was killed from outside, as happens when memory is short",
        )),
        Some(ABORTED) if words.contains("memory allocation") => CompilerFailure::for_good(no_memory(limits)),
        Some(signal) => {
            CompilerFailure::for_good(too_much(&format!("the compiler crashed on it (signal {signal})")))
        }
        None if words.starts_with(super::child::CANNOT_BEGIN) => CompilerFailure::for_now(unavailable(words)),
        None if words.contains(super::child::NO_MEMORY) => CompilerFailure::for_good(no_memory(limits)),
        None => CompilerFailure::for_good(rejected(words)),
    }
}

fn too_long(time: Duration) -> Refusal {
    too_much(&format!("compiling it takes longer than {time:?}"))
}

fn no_memory(limits: CompileLimits) -> Refusal {
    too_much(&format!("compiling it takes more memory than {}", limits.memory))
}

fn too_much(message: &str) -> Refusal {
    let help =
        "build it with optimisation; or, when you trust it, raise compile-time or compile-memory in [deploy]";
    (ErrorCode::ComponentCompileLimit, message.to_owned(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_time_for_each_started_mebibyte_up_to_the_twentieth() {
        let time = |bytes| time_for(Duration::from_secs(30), bytes).as_secs();
        assert_eq!([0, 1 << 20, (1 << 20) + 1, 1 << 30].map(time), [30, 30, 60, 600]);
    }

    #[test]
    fn the_processor_time_of_a_process_is_what_it_has_used() {
        let started = processor_time(std::process::id()).unwrap_or_default();
        let until = Instant::now() + Duration::from_secs(60);
        // It grows with work.
        while processor_time(std::process::id()).unwrap_or_default() < started + Duration::from_millis(50) {
            assert!(Instant::now() < until, "no processor time is counted");
        }
        assert_eq!(processor_time(u32::MAX), None);
    }
}
