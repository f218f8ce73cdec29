//! Dapr's scheduler service: it keeps the reminders of actors.

use std::path::Path;

use daca_tests::{Process, Program, ports};

/// The scheduler service.
#[derive(Debug)]
pub struct Scheduler {
    /// Where sidecars connect.
    pub port: u16,
    /// Where it says that it is well. Dapr opens this port on all addresses, whatever it is told.
    pub health_port: u16,
    /// Its process.
    pub process: Process,
}

impl Scheduler {
    /// Starts the program on free ports, with its data in `scheduler` in the folder, and waits until it is ready.
    pub async fn start(program: &Path, folder: &Path) -> anyhow::Result<Scheduler> {
        Scheduler::start_behind(program, folder, None).await
    }

    /// The same with a proxy before it that listens on the port `front`, to which sidecars are sent.
    pub async fn start_behind(
        program: &Path,
        folder: &Path,
        front: Option<u16>,
    ) -> anyhow::Result<Scheduler> {
        let (port, health_port) = (ports::free()?, ports::free()?);
        let (etcd_client, etcd_peer) = (ports::free()?, ports::free()?);
        let program = Program::new("scheduler", program, folder)
            .option("--port", port)
            .option("--listen-address", "127.0.0.1")
            // Otherwise sidecars are sent to an address of this machine that it may not listen on.
            .option("--override-broadcast-host-port", format!("127.0.0.1:{}", front.unwrap_or(port)))
            .option("--healthz-port", health_port)
            .option("--etcd-data-dir", folder.join("scheduler").display())
            .option("--etcd-client-port", etcd_client)
            .option("--etcd-initial-cluster", format!("dapr-scheduler-server-0=http://127.0.0.1:{etcd_peer}"))
            .argument("--enable-metrics=false")
            .argument("--log-as-json");
        let scheduler = Scheduler { port, health_port, process: Process::start(program)? };
        scheduler.process.wait_healthy(health_port).await?;
        Ok(scheduler)
    }

    /// Starts it again on its ports with its data, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.process.wait_healthy(self.health_port).await
    }
}
