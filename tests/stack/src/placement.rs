//! Dapr's placement service: which sidecar hosts which actor.

use std::path::Path;

use daca_tests::{Process, Program, ports};

/// The placement service.
#[derive(Debug)]
pub struct Placement {
    /// Where sidecars connect.
    pub port: u16,
    /// Where it says that it is well. Dapr opens this port on all addresses, whatever it is told.
    pub health_port: u16,
    /// Its process.
    pub process: Process,
}

impl Placement {
    /// Starts the program on free ports and waits until it is ready.
    pub async fn start(program: &Path, folder: &Path) -> anyhow::Result<Placement> {
        let (port, health_port) = (ports::free()?, ports::free()?);
        let raft = ports::free()?;
        let program = Program::new("placement", program, folder)
            .option("--port", port)
            .option("--listen-address", "127.0.0.1")
            .option("--healthz-port", health_port)
            .option("--initial-cluster", format!("dapr-placement-0=127.0.0.1:{raft}"))
            .argument("--enable-metrics=false")
            .argument("--log-as-json");
        let placement = Placement { port, health_port, process: Process::start(program)? };
        placement.process.wait_healthy(health_port).await?;
        Ok(placement)
    }

    /// Starts it again on its ports, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.process.wait_healthy(self.health_port).await
    }
}
