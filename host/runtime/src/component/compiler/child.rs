//! A compiler process: reads a component, writes its code, and exits.
//!
//! It limits itself before it reads anything, since the input may be made to exhaust it. It must compile with the
//! settings of the host that started it, or the host would reject the code: they come with the command line.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::time::Duration;

use bytesize::ByteSize;
use rustix::process::{Resource, Rlimit, setrlimit};
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use super::script_input;
use crate::component::initial_memory::InitialMemory;
use crate::component::settings::CodeSettings;
use daca_base::{Explained, Explanation};
use daca_model::MAX_COMPONENT;

/// The hidden command of `daca`.
pub const COMMAND: &str = "compile-component";
/// The message of wasmtime when an allocation fails.
pub(super) const NO_MEMORY: &str = "out of memory";
/// The beginning of what the process says of an import that the host does not offer.
pub(super) const UNKNOWN_IMPORT: &str = "unknown import: ";
/// The beginning of what the process says when the machine keeps it from compiling.
pub(super) const CANNOT_BEGIN: &str = "cannot begin: ";
/// The maximum number of compiling threads: each has functions of its own in memory.
const MAX_THREADS: usize = 4;
/// The time between the signal for exhausted processor time and the one that kills.
const SECONDS_TO_END: u64 = 2;

/// The command line of a compiler process.
#[derive(Debug, Clone, clap::Args)]
pub struct CompilerArguments {
    /// Bytes of addresses for each memory
    #[arg(long)]
    reservation: u64,
    /// Whether the code must run on other machines
    #[arg(long)]
    any_processor: bool,
    /// Whether instances map their data
    #[arg(long)]
    mapped: bool,
    /// Seconds of processor time
    #[arg(long)]
    time: u64,
    /// Bytes of memory
    #[arg(long)]
    memory: u64,
    /// Priority
    #[arg(long, value_enum)]
    priority: Priority,
    /// Whether the input is a script
    #[arg(long)]
    script: bool,
}

/// The priority of a compiler process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Priority {
    /// Normal.
    Normal,
    /// Low: it gets a tenth of a processor if others want it.
    Nice,
    /// Idle: it runs when nobody else wants the processor, and stops at once when somebody does. A low priority is not
    /// enough for that: a running thread may continue for a time slice of 3 ms before one with normal priority.
    Idle,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not start.
    #[error("{CANNOT_BEGIN}{0}")]
    Begin(String),
    /// An import of the component.
    #[error("{UNKNOWN_IMPORT}{0}")]
    UnknownImport(String),
    /// The component.
    #[error("{0}")]
    Component(String),
}

/// The host that started the process reads its words (`failure` in [`parent`](super::parent)), and adds code and help.
impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        None
    }
}

impl CompilerArguments {
    pub(super) fn new(
        settings: CodeSettings,
        time: Duration,
        memory: ByteSize,
        priority: Priority,
        script: bool,
    ) -> CompilerArguments {
        let CodeSettings { reservation, any_processor, initial_memory } = settings;
        let mapped = initial_memory == InitialMemory::Mapped;
        // A fraction of a second counts as a whole one.
        let time = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let memory = memory.as_u64();
        CompilerArguments { reservation, any_processor, mapped, time, memory, priority, script }
    }

    pub(super) fn priority(&self) -> Priority {
        self.priority
    }

    fn settings(&self) -> CodeSettings {
        let initial_memory = if self.mapped { InitialMemory::Mapped } else { InitialMemory::Copied };
        CodeSettings { reservation: self.reservation, any_processor: self.any_processor, initial_memory }
    }

    pub(super) fn as_words(&self) -> Vec<OsString> {
        let CompilerArguments { reservation, any_processor, mapped, time, memory, priority, script } = self;
        let priority = match priority {
            Priority::Normal => "normal",
            Priority::Nice => "nice",
            Priority::Idle => "idle",
        };
        let mut words = vec![
            COMMAND.to_owned(),
            format!("--reservation={reservation}"),
            format!("--time={time}"),
            format!("--memory={memory}"),
            format!("--priority={priority}"),
        ];
        words.extend(any_processor.then(|| "--any-processor".to_owned()));
        words.extend(mapped.then(|| "--mapped".to_owned()));
        words.extend(script.then(|| "--script".to_owned()));
        words.into_iter().map(OsString::from).collect()
    }
}

/// Compiles the component on standard input, or prepares the script there, and writes the result to standard output. `unknown_import` looks at it first, within
/// the same limits, for an import that the host does not offer.
pub(in crate::component) fn run(
    arguments: &CompilerArguments,
    unknown_import: fn(&wasmtime::Engine, &[u8]) -> Option<String>,
) -> Result<(), Error> {
    let begin = |error: &dyn std::fmt::Display| Error::Begin(error.to_string());
    bound(arguments).map_err(|error| begin(&error))?;
    let wasm = read_component().map_err(|error| begin(&error))?;
    end_with_input().map_err(|error| begin(&error))?;
    if arguments.script {
        let prepared = script_input::prepare(wasm).map_err(|error| begin(&error))?;
        let mut stdout = std::io::stdout().lock();
        return stdout.write_all(&prepared).and_then(|()| stdout.flush()).map_err(|error| begin(&error));
    }
    let threads = threads(arguments.priority).map_err(|error| begin(&error))?;
    let failed = |error: wasmtime::Error| Error::Component(format!("{error:#}").replace('\n', " "));
    let engine = arguments.settings().engine().map_err(failed)?;
    let code = threads.install(|| match unknown_import(&engine, &wasm) {
        Some(import) => Err(Error::UnknownImport(import)),
        None => engine.precompile_component(&wasm).map_err(failed),
    })?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(|error| begin(&error))
}

fn bound(arguments: &CompilerArguments) -> std::io::Result<()> {
    let limit = |resource, current, maximum| {
        Ok::<_, std::io::Error>(setrlimit(
            resource,
            Rlimit { current: Some(current), maximum: Some(maximum) },
        )?)
    };
    limit(Resource::Cpu, arguments.time, arguments.time + SECONDS_TO_END)?;
    // Private writable memory, which the kernel counts (Linux 4.7): neither addresses that are merely reserved nor the
    // program itself.
    limit(Resource::Data, arguments.memory, arguments.memory)?;
    limit(Resource::Core, 0, 0)?;
    // When memory is short, this process is killed rather than the host.
    // Without it, the limit of memory still holds.
    std::fs::write("/proc/self/oom_score_adj", "1000").ok();
    Ok(())
}

/// Eight bytes give its length.
fn read_component() -> std::io::Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    let mut length = [0; 8];
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length).min(MAX_COMPONENT);
    let mut wasm = Vec::new();
    stdin.take(length).read_to_end(&mut wasm)?;
    match wasm.len() as u64 == length {
        true => Ok(wasm),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The host holds the input open as long as it wants the code; when it ends, nobody wants it any more.
fn end_with_input() -> std::io::Result<()> {
    let watch = || {
        // Whatever comes, it is the end.
        std::io::stdin().lock().read_exact(&mut [0]).ok();
        std::process::exit(1);
    };
    std::thread::Builder::new().name("input".into()).spawn(watch).map(drop)
}

fn threads(priority: Priority) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    rayon::ThreadPoolBuilder::new()
        .num_threads(processors.min(MAX_THREADS))
        .thread_name(|number| format!("compile-{number}"))
        .start_handler(move |_| give_way(priority))
        .build()
}

/// Sets the priority of the calling thread. If that fails, callers are slower; that is no reason not to compile.
fn give_way(priority: Priority) {
    const NICE: i32 = 10;
    match priority {
        Priority::Normal => {}
        Priority::Nice => {
            // On Linux the priority is that of the calling thread (`setpriority(2)`, "C library/kernel differences").
            // If it fails, callers are only slower.
            rustix::process::setpriority_process(None, NICE).ok();
        }
        Priority::Idle => {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).ok();
        }
    }
}
