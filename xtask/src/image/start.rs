//! How long the image's program takes from its start to the first answer of the agent, with the image's own files.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// A host that does not answer by then never will.
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(2);
const MESSAGE: &str = r#"{"role": "user", "content": "Hi"}"#;

/// Ends the host, whatever happens.
struct StartedHost(Child);

impl StartedHost {
    /// Ends it, and answers what it said.
    fn end(&mut self) -> anyhow::Result<String> {
        // It may have ended.
        self.0.kill().ok();
        let mut log = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut log)?;
        }
        Ok(log)
    }
}

impl Drop for StartedHost {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        // Its status does not matter.
        self.0.wait().ok();
    }
}

/// Starts the program on its embedded backend, asks the agent, and ends it.
pub(super) fn measure(rootfs: &Path) -> anyhow::Result<Duration> {
    let data = tempfile::tempdir()?;
    let [app, admin] = [free_address()?, free_address()?];
    let mut command = Command::new(rootfs.join("daca"));
    command
        .args(["run", "--backend", "embedded", "--manifest"])
        .arg(rootfs.join("agents/manifest/agents.toml"));
    command.args(["--listen", &app.to_string(), "--admin", &admin.to_string(), "--data"]).arg(data.path());
    command.arg("--compiled").arg(rootfs.join("code")).env_remove("DACA_ADMIN_TOKEN").env("DACA_LOG", "warn");
    let start = Instant::now();
    let mut host = StartedHost(command.stderr(Stdio::piped()).spawn().context("starting the static host")?);
    loop {
        if asked(app).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
            let took = start.elapsed();
            let log = host.end()?;
            // Only that is worth a warning here.
            if log.contains("compiling the component") {
                bail!("the code that was compiled ahead of time is not used: {}", log.trim());
            }
            return Ok(took);
        }
        let ended = host.0.try_wait()?;
        if ended.is_some() || start.elapsed() > TIMEOUT {
            bail!("the host of the image does not answer: {}", host.end()?.trim());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn asked(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "POST /chat/first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{MESSAGE}",
        MESSAGE.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
