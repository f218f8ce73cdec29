//! The host as a whole: [`core`] holds the parts, [`ports`] puts them behind the two ports, and [`shutdown`] serves them and ends
//! them in the order that loses nothing; it alone moves the host from phase to phase. [`options`] and [`error`] are what
//! goes in, and what can go wrong besides the errors of the parts.

mod core;
mod descriptors;
mod error;
mod listen;
mod local;
mod options;
mod ports;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daca_deploy::Deployer;
use daca_manifest::Manifest;
use daca_model::LifecycleWriter;

use crate::Failure;
use core::Core;
pub use core::largest_memory;
use error::Error;
pub use options::{BackendOptions, Options};
use ports::Ports;

/// A listening host, which serves once [`Host::run`] is called.
pub struct Host {
    core: Core,
    ports: Ports,
    lifecycle: LifecycleWriter,
    grace: Duration,
    behind_sidecar: bool,
}

impl Host {
    /// Creates everything, and listens. Nothing is served and nothing fires yet.
    pub async fn start(options: &Options) -> Result<Host, Failure> {
        if options.admin_token.is_none() && !options.admin.ip().is_loopback() {
            return Err(Error::AdminNotLoopback(options.admin).into());
        }
        descriptors::check()?;
        let mut manifest = Manifest::load(&options.manifest)?;
        Arc::make_mut(&mut manifest.deploy).rolls_back = options.rolls_back;
        let lifecycle = LifecycleWriter::starting();
        let (core, listener) = Core::open(options, &manifest, lifecycle.reader()).await?;
        ports::warn_of_open_callbacks(options);
        let ports = Ports::open(options, &manifest, &core, listener, lifecycle.reader())?;
        let (grace, behind_sidecar) = (manifest.host.shutdown_grace, options.backend.is_sidecar());
        Ok(Host { core, ports, lifecycle, grace, behind_sidecar })
    }

    /// Returns `true` if a start failed because of a component that another build may mend.
    pub fn lacks_build(failure: &Failure) -> bool {
        failure.cause().is_some_and(Error::is_of_build)
    }

    /// The address of the application's port.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.ports.app.address()
    }

    /// The address of the operator's port.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.ports.admin.address()
    }

    /// Deploys versions.
    pub fn deployer(&self) -> &Deployer {
        &self.core.deployer
    }
}
