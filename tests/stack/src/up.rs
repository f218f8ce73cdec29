//! `daca-stack up`: everything on a laptop, until Ctrl-C.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use daca_stack::running::AddressFile;
use daca_stack::{HostOptions, HostWithSidecar, Sms, Stack, StackOptions, build};
use daca_tests::{Process, folders, ports};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Where the first host listens, when these ports are free.
const APP_PORT: u16 = 8000;
const ADMIN_PORT: u16 = 8001;

/// How often logs and processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What `up` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many hosts, each with its own sidecar
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    hosts: u8,
    /// The manifest of the hosts [default: agents.toml of the project]
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Keep the data in this folder, and go on with what is in it
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Brings everything up and down again.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Before signals are caught, so that Ctrl-C ends a build.
    build::all()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(up(arguments))
}

async fn up(arguments: Arguments) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let folder = Folder::of(arguments.keep)?;
    let manifest = arguments.manifest.unwrap_or_else(|| folders::root().join("agents.toml"));
    let starting = start(&folder.path, &manifest, arguments.hosts);
    let (stack, hosts) = tokio::select! {
        started = starting => started?,
        () = signals.next() => bail!("interrupted before everything was up"),
    };
    let running = AddressFile::write(&stack, &hosts)?;
    print_addresses(&stack, &hosts);
    tokio::select! {
        () = print_sms(stack.twilio.news()) => {}
        () = watch(&stack, &hosts) => {}
        () = signals.next() => {}
    }
    drop(running);
    tokio::select! {
        stopped = stop(&stack, &hosts) => stopped,
        () = signals.next() => bail!("interrupted again: what still ran was killed"),
    }
}

async fn start(folder: &Path, manifest: &Path, count: u8) -> anyhow::Result<(Stack, Vec<HostWithSidecar>)> {
    eprintln!("starting Redis, Kafka, the edge of Twilio, placement and scheduler in {}", folder.display());
    let stack =
        Stack::start(StackOptions { folder: Some(folder.to_owned()), ..StackOptions::default() }).await?;
    eprintln!("starting {count} host(s), each with a sidecar");
    let mut options = Vec::new();
    for number in 1..=count {
        options.push(HostOptions::new(&format!("host{number}"), manifest)?);
    }
    options[0].listen = preferred(APP_PORT)?;
    options[0].admin = preferred(ADMIN_PORT)?;
    let hosts = try_join_all(options.into_iter().map(|options| stack.host(options))).await?;
    Ok((stack, hosts))
}

/// This port, or another when it is taken.
fn preferred(port: u16) -> anyhow::Result<u16> {
    if ports::is_free(port) { Ok(port) } else { ports::free() }
}

/// Hosts first, so that what they still do finds its sidecar, and the sidecars before their servers for the same reason.
async fn stop(stack: &Stack, hosts: &[HostWithSidecar]) -> anyhow::Result<()> {
    eprintln!("stopping the hosts");
    try_join_all(hosts.iter().map(|host| host.app.process.stop())).await?;
    eprintln!("stopping the sidecars");
    try_join_all(hosts.iter().map(|host| host.sidecar.process.stop())).await?;
    eprintln!("stopping the servers");
    stack.stop().await?;
    eprintln!("everything is stopped");
    Ok(())
}

fn print_addresses(stack: &Stack, hosts: &[HostWithSidecar]) {
    println!("\neverything is up; logs and data are in {}\n", stack.folder.display());
    for host in hosts {
        let name = &host.app.options.program.name;
        println!(
            "{name}  {}  admin {}  sidecar {}",
            host.app.url(""),
            host.app.admin_url(""),
            host.sidecar.url("")
        );
    }
    println!("redis  {}", stack.redis.address());
    if let Some(kafka) = &stack.kafka {
        println!("kafka  {}", kafka.address());
    }
    if let Some(host) = hosts.first() {
        println!("{}", hint(&host.app.url("")));
    }
}

fn hint(app: &str) -> String {
    format!(
        "
Try in another terminal:

  curl -X POST {app}/chat/user1 -H 'Content-Type: application/json' -d '{{\"role\": \"user\", \"content\": \"Hi\"}}'
  curl {app}/chat/user1/history
  cargo xtask produce --actor user1 \"Hi from Kafka\"

SMS, and the hosts' warnings, appear here. Ctrl-C ends everything.
"
    )
}

/// Prints each SMS as it comes.
async fn print_sms(mut news: Receiver<Sms>) {
    loop {
        match news.recv().await {
            Ok(sms) => println!("SMS to {}: {}", sms.to, sms.body),
            Err(RecvError::Lagged(count)) => println!("{count} SMS came too fast to be shown"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Shows the hosts' warnings and errors, and says when a process has ended by itself.
async fn watch(stack: &Stack, hosts: &[HostWithSidecar]) {
    let mut logs = hosts.iter().map(Follower::of).collect::<Vec<_>>();
    let servers = [&stack.redis.process, &stack.placement.process, &stack.scheduler.process];
    let mut processes =
        servers.into_iter().chain(stack.kafka.as_ref().map(|it| &it.process)).collect::<Vec<_>>();
    processes.extend(hosts.iter().flat_map(|host| [&host.app.process, &host.sidecar.process]));
    let mut ended = HashSet::new();
    loop {
        for log in &mut logs {
            log.print_warnings();
        }
        for process in &processes {
            say_if_ended(process, &mut ended);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn say_if_ended(process: &Process, ended: &mut HashSet<String>) {
    let program = process.program();
    if let Some(status) = process.ended()
        && ended.insert(program.name.clone())
    {
        println!("{} has ended by itself ({status}); see {}", program.name, program.log_file().display());
    }
}

/// Reads on in a host's log.
struct Follower {
    name: String,
    path: PathBuf,
    position: u64,
}

impl Follower {
    fn of(host: &HostWithSidecar) -> Follower {
        let program = host.app.process.program();
        Follower { name: program.name.clone(), path: program.log_file(), position: 0 }
    }

    fn print_warnings(&mut self) {
        // The log may be gone, or end in the middle of a line.
        let text = self.read_on().unwrap_or_default();
        for line in text.lines() {
            if let Some(warning) = warning(line) {
                println!("{}: {warning}", self.name);
            }
        }
    }

    /// The whole lines that have come since the last time.
    fn read_on(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        file.take(1 << 20).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }
}

/// A log line for people, when it is a warning, an error, or no log line at all, such as a panic.
fn warning(line: &str) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return Some(line.to_owned()) };
    let mut take = |name: &str| fields.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let (level, message) = (take("level")?, take("message").unwrap_or_default());
    if level != "WARN" && level != "ERROR" {
        return None;
    }
    take("timestamp");
    take("target");
    let fields = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
    Some(format!("{level} {message}{fields}"))
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The folder of logs and data, which no other run may use at the same time.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// The one that is to be kept, without its old logs, or an empty one.
    fn of(keep: Option<PathBuf>) -> anyhow::Result<Folder> {
        let Some(path) = keep else { return Folder::empty() };
        let folder = Folder::lock(path.clone())?;
        let folder = folder.with_context(|| format!("{} is in use by another run", path.display()))?;
        folder.clear(|path| path.extension().is_some_and(|extension| extension == "log"))?;
        Ok(folder)
    }

    /// The first folder that no other run uses.
    fn empty() -> anyhow::Result<Folder> {
        let names =
            std::iter::once("stack-run".to_owned()).chain((2..).map(|number| format!("stack-run-{number}")));
        for name in names {
            if let Some(folder) = Folder::lock(folders::target().join(name))? {
                folder.clear(|path| !path.ends_with("lock"))?;
                return Ok(folder);
            }
        }
        bail!("there is no folder for logs and data")
    }

    fn lock(path: PathBuf) -> anyhow::Result<Option<Folder>> {
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        let lock = File::create(path.join("lock"))?;
        Ok(lock.try_lock().is_ok().then_some(Folder { path, _lock: lock }))
    }

    fn clear(&self, goes: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            match goes(&path) {
                true if path.is_dir() => std::fs::remove_dir_all(path)?,
                true => std::fs::remove_file(path)?,
                false => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_for_people_and_the_rest_is_silent() {
        let line = r#"{"timestamp":"t","level":"WARN","target":"daca","message":"slow","after":3}"#;
        assert_eq!(warning(line).as_deref(), Some("WARN slow after=3"));
        assert_eq!(warning(r#"{"level":"INFO","message":"ready"}"#), None);
        assert_eq!(warning("thread 'main' panicked").as_deref(), Some("thread 'main' panicked"));
    }
}
