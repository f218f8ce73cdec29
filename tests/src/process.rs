//! A server's process: started so that it cannot outlive the one that started it, and stopped, killed, paused and started
//! again at will.
//!
//! `setpriv` asks the kernel to kill the child when its parent dies, so that nothing stays behind even after `kill -9`. The
//! kernel means the *thread* that started the child, therefore one thread, which lives as long as the process, starts all of
//! them. Each child leads a process group of its own: Ctrl-C in a terminal must not reach the servers before the hosts.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::client::{client, is_well};
use crate::wait::Patience;

/// A look may cost a process or a request. Some servers, such as Kafka, take a minute to start on a busy machine, and one that
/// ends is not waited for.
const PATIENCE: Patience = Patience::new(Duration::from_secs(180), Duration::from_millis(50));

/// How long a process may take to end after SIGTERM. A program that stops several others ends after them.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// How much of the end of a log is read.
const LOG_TAIL: u64 = 4 << 20;

/// What to start.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is called in messages and by its log file.
    pub name: String,
    /// The program's file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables added to this process's environment; without a value they are removed from it.
    pub environment: Vec<(String, Option<OsString>)>,
    /// The folder it runs in; its log is `{name}.log` in it.
    pub folder: PathBuf,
}

impl Program {
    /// A program without arguments.
    pub fn new(name: &str, path: &Path, folder: &Path) -> Program {
        Program {
            name: name.to_owned(),
            path: path.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Program {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds `--name value`.
    pub fn option(self, name: &str, value: impl ToString) -> Program {
        self.arguments([name.to_owned(), value.to_string()])
    }

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Program {
        self.environment.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Sets variables of the environment.
    pub fn variables(self, variables: &[(String, String)]) -> Program {
        variables.iter().fold(self, |program, (name, value)| program.variable(name, value))
    }

    /// Sets the tokens of Dapr's APIs, and keeps those of this process's environment away.
    pub fn tokens(self, dapr_api: Option<&str>, app_api: Option<&str>) -> Program {
        [("DAPR_API_TOKEN", dapr_api), ("APP_API_TOKEN", app_api)].into_iter().fold(
            self,
            |program, (name, token)| match token {
                Some(token) => program.variable(name, token),
                None => program.without_variable(name),
            },
        )
    }

    /// Keeps a variable of this process's environment from the program.
    pub fn without_variable(mut self, name: &str) -> Program {
        self.environment.push((name.to_owned(), None));
        self
    }

    /// Where its output goes.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn command(&self) -> anyhow::Result<Command> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.path)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let command = self.command().with_context(|| format!("the log of {}", self.name))?;
        spawn(command).with_context(|| {
            format!("{} could not be started; setpriv of the package util-linux is needed", self.name)
        })
    }
}

/// A process that was started here. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Mutex<Child>,
}

impl Process {
    /// Starts a program.
    pub fn start(program: Program) -> anyhow::Result<Process> {
        let child = Mutex::new(program.spawn()?);
        Ok(Process { program, child })
    }

    /// Starts it again with the same arguments, after it has ended.
    pub fn start_again(&self) -> anyhow::Result<()> {
        if self.is_running() {
            bail!("{} is still running", self.program.name);
        }
        *self.child() = self.program.spawn()?;
        Ok(())
    }

    /// What was started.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Has it not ended?
    pub fn is_running(&self) -> bool {
        self.ended().is_none()
    }

    /// How it ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().try_wait().unwrap_or_default()
    }

    /// Asks it to end with SIGTERM and waits; kills it when it takes too long.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        // One that is paused would not hear it.
        self.resume()?;
        let start = Instant::now();
        while start.elapsed() < STOP_WITHIN {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) -> anyhow::Result<ExitStatus> {
        let mut child = self.child();
        child.kill()?;
        Ok(child.wait()?)
    }

    /// Stops its clock with SIGSTOP: its connections stay, and it answers nothing.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The last lines of its output, of all its starts.
    pub fn log_lines(&self) -> anyhow::Result<Vec<String>> {
        let mut file = self.log()?;
        let start = file.metadata()?.len().saturating_sub(LOG_TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    /// Is this text in a line of its output?
    pub fn log_contains(&self, text: &str) -> anyhow::Result<bool> {
        let mut lines = BufReader::new(self.log()?).split(b'\n').map_while(Result::ok);
        Ok(lines.any(|line| String::from_utf8_lossy(&line).contains(text)))
    }

    /// Waits until a check holds; an error when the process ends first.
    pub async fn wait_until(&self, what: &str, check: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let name = &self.program.name;
        let what = format!("{name}: {what}");
        let waiting = PATIENCE.until(&what, async || Ok(!self.is_running() || check().await));
        waiting.await.with_context(|| self.last_words())?;
        if let Some(status) = self.ended() {
            bail!("{name} has ended ({}): {}", describe(status), self.last_words());
        }
        Ok(())
    }

    /// Waits until the process listens on this port of loopback.
    pub async fn wait_listening(&self, port: u16) -> anyhow::Result<()> {
        let address = (Ipv4Addr::LOCALHOST, port);
        self.wait_until("its port", async || TcpStream::connect(address).await.is_ok()).await
    }

    /// Waits until the process says at `/healthz` of this port that it is well.
    pub async fn wait_healthy(&self, port: u16) -> anyhow::Result<()> {
        let (client, url) = (client()?, format!("http://127.0.0.1:{port}/healthz"));
        self.wait_until("ready", async || is_well(&client, &url).await).await
    }

    fn last_words(&self) -> String {
        let lines = self.log_lines().unwrap_or_default();
        let last = lines[lines.len().saturating_sub(15)..].join("\n  ");
        format!("the end of {}:\n  {last}", self.program.log_file().display())
    }

    fn log(&self) -> anyhow::Result<File> {
        let path = self.program.log_file();
        File::open(&path).with_context(|| format!("opening {}", path.display()))
    }

    /// Sends a signal. A process that has ended is waited for first, so its id cannot be another's.
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process has an id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{} could not be killed: {error}", self.program.name);
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// A command for the thread that starts children, and where its answer goes.
type SpawnRequest = (Command, Sender<std::io::Result<Child>>);

fn spawn(command: Command) -> anyhow::Result<Child> {
    static SPAWNER: LazyLock<Sender<SpawnRequest>> = LazyLock::new(|| {
        let (requests, incoming) = channel::<SpawnRequest>();
        std::thread::spawn(move || {
            for (mut command, answer) in incoming {
                // Who asked may be gone.
                answer.send(command.spawn()).ok();
            }
        });
        requests
    });
    let (answer, child) = channel();
    SPAWNER.send((command, answer))?;
    Ok(child.recv()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> anyhow::Result<Process> {
        let script = "echo started; exec sleep 600";
        Process::start(Program::new("sleeper", Path::new("/bin/sh"), folder).arguments(["-c", script]))
    }

    #[tokio::test]
    async fn a_process_is_stopped_and_started_again_and_its_log_kept() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let process = sleeper(folder.path())?;
        process
            .wait_until("its first line", async || process.log_contains("started").unwrap_or(false))
            .await?;
        assert_eq!(process.stop().await?.signal(), Some(15));
        assert!(!process.is_running());
        process.start_again()?;
        let twice = async || process.log_lines().is_ok_and(|lines| lines == ["started", "started"]);
        process.wait_until("its second line", twice).await?;
        assert_eq!(process.kill()?.signal(), Some(9));
        Ok(())
    }

    #[tokio::test]
    async fn a_paused_process_can_be_stopped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let process = sleeper(folder.path())?;
        process.pause()?;
        assert_eq!(process.stop().await?.signal(), Some(15));
        Ok(())
    }

    #[tokio::test]
    async fn what_ends_too_early_says_why() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let program = Program::new("failing", Path::new("/bin/sh"), folder.path());
        let process = Process::start(program.arguments(["-c", "echo no such luck; exit 3"]))?;
        let error = process.wait_until("never", async || false).await.expect_err("it ends");
        let error = format!("{error:#}");
        assert!(error.contains("exit code 3") && error.contains("no such luck"), "{error}");
        Ok(())
    }
}
