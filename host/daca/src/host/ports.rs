//! The two ports of a host: the application's and the operator's.

use std::time::Duration;

use bytesize::ByteSize;
use daca_base::ErrorCode;
use daca_base::memory::MemoryBudget;
use daca_manifest::{self as manifest, Manifest};
use daca_model::{Lifecycle, MAX_COMPONENT};
use daca_server::{
    self as server, AdminServer, AdminState, AdminToken, AppOptions, AppServer, AppToken, HostSeal, Requests,
    ServerOptions, SidecarSide,
};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::descriptors::{self, Shares};
use super::error::Error;
use super::listen::listen;
use super::options::{BackendOptions, Options};

/// The time for a request to the operator's port to arrive.
const ADMIN_BODY_TIME: Duration = Duration::from_secs(120);

/// The listening ports.
pub(super) struct Ports {
    pub(super) app: AppServer,
    pub(super) admin: AdminServer,
    /// Closes the operator's port, and ends those who follow the log.
    pub(super) stop_admin: CancellationToken,
}

impl Ports {
    /// Listens on the operator's port, and puts the parts behind both.
    pub(super) fn open(
        options: &Options,
        manifest: &Manifest,
        core: &Core,
        app_listener: TcpListener,
        lifecycle: Lifecycle,
    ) -> Result<Ports, Error> {
        let stop_admin = CancellationToken::new();
        let max_body = bytes(manifest.host.max_body);
        let seal = HostSeal::new(core.backend.shared());
        let behind_sidecar = options.backend.is_sidecar();
        let shares = descriptors::shares(&manifest.host, behind_sidecar);
        let requests = Requests::new(shares.app, behind_sidecar, &manifest.weights());
        let app = server::app_router(AppOptions {
            routes: &manifest.routes,
            subscriptions: core.subscriptions.clone(),
            actors: core.actors.clone(),
            router: core.router.clone(),
            deployer: core.deployer.clone(),
            lifecycle: lifecycle.clone(),
            requests: requests.clone(),
            max_body,
            sidecar: match &options.backend {
                BackendOptions::Embedded => None,
                BackendOptions::Dapr { app_token, .. } => Some(SidecarSide {
                    input_bindings: &manifest.input_bindings,
                    token: app_token.as_ref().map(|token| AppToken::new(token.expose_secret())),
                    seal: seal.clone(),
                }),
            },
        });
        let state = AdminState {
            actors: core.actors.clone(),
            router: core.router.clone(),
            seal,
            deployer: core.deployer.clone(),
            outbox: core.outbox.clone(),
            requests,
            lifecycle,
            backend: options.backend.name(),
            log: options.log.clone(),
        };
        let token = options.admin_token.as_ref().map(|token| AdminToken::new(token.expose_secret()));
        let rules = server::AdminOptions { max_body, token, stopping: stop_admin.clone() };
        let admin = server::admin_router(state, rules);
        let memory = core.actors.memory().clone();
        let app_options = app_server(&manifest.host, shares, behind_sidecar, memory.clone());
        Ok(Ports {
            app: AppServer::new(app_listener, app, app_options),
            admin: AdminServer::new(
                listen(options.admin, "--admin")?,
                admin,
                admin_server(&manifest.host, shares, memory),
            ),
            stop_admin,
        })
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn app_server(
    limits: &manifest::HostLimits,
    shares: Shares,
    behind_sidecar: bool,
    memory: MemoryBudget,
) -> ServerOptions {
    ServerOptions {
        max_connections: shares.app,
        max_connections_per_peer: limits.max_connections_per_peer().min(shares.app),
        max_spare_connections: shares.app_spare,
        health: &["/healthz", "/readyz"],
        max_body: bytes(limits.max_body),
        body_time: limits.body_time,
        least_body_rate: bytes(limits.least_body_rate),
        max_held_body_bytes: Some(bytes(limits.max_held_body_bytes())),
        memory,
        behind_sidecar,
    }
}

/// A component is large, and may arrive slowly.
fn admin_server(limits: &manifest::HostLimits, shares: Shares, memory: MemoryBudget) -> ServerOptions {
    ServerOptions {
        max_connections: shares.admin,
        max_connections_per_peer: shares.admin / 2,
        max_spare_connections: shares.admin_spare,
        health: &["/health"],
        max_body: usize::try_from(MAX_COMPONENT).unwrap_or(usize::MAX),
        body_time: ADMIN_BODY_TIME,
        least_body_rate: bytes(limits.least_body_rate),
        max_held_body_bytes: None,
        memory,
        behind_sidecar: false,
    }
}

pub(super) fn warn_of_open_callbacks(options: &Options) {
    if matches!(options.backend, BackendOptions::Dapr { app_token: None, .. })
        && !options.listen.ip().is_loopback()
    {
        tracing::warn!(
            code = ErrorCode::CallbacksExposed.as_str(),
            "--listen {} can be reached from other machines, and without APP_API_TOKEN anyone there can call every actor as the sidecar does",
            options.listen
        );
    }
}
