//! The two ports of a host: the application's and the operator's.

use std::time::Duration;

use bytesize::ByteSize;
use daca_base::ErrorCode;
use daca_manifest::{self as manifest, Manifest};
use daca_model::{Lifecycle, MAX_COMPONENT};
use daca_server::{
    self as server, AdminState, AdminToken, AppOptions, AppToken, Server, ServerOptions, SidecarSide,
};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::error::Error;
use super::listen::listen;
use super::options::{BackendOptions, Options};

/// Concurrent connections to the operator's port.
const ADMIN_CONNECTIONS: usize = 100;
/// The time for their requests to arrive.
const ADMIN_BODY_TIME: Duration = Duration::from_secs(120);

/// File descriptors for everything but the connections of the application's port: those of the admin port and of health, files,
/// the sidecar, compiler processes.
const OTHER_DESCRIPTORS: usize = 512;
/// Connections that are permitted however few descriptors there are.
const MIN_CONNECTIONS: usize = 64;

/// The listening ports.
pub(super) struct Ports {
    pub(super) app: Server,
    pub(super) admin: Server,
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
        let app = server::app_router(AppOptions {
            routes: &manifest.routes,
            subscriptions: core.subscriptions.clone(),
            actors: core.actors.clone(),
            router: core.router.clone(),
            deployer: core.deployer.clone(),
            lifecycle: lifecycle.clone(),
            max_body,
            sidecar: match &options.backend {
                BackendOptions::Embedded => None,
                BackendOptions::Dapr { app_token, .. } => Some(SidecarSide {
                    input_bindings: &manifest.input_bindings,
                    token: app_token.as_ref().map(|token| AppToken::new(token.expose_secret())),
                }),
            },
        });
        let admin = server::admin_router(AdminState {
            actors: core.actors.clone(),
            router: core.router.clone(),
            deployer: core.deployer.clone(),
            outbox: core.outbox.clone(),
            lifecycle,
            backend: options.backend.name(),
            max_body,
            token: options.admin_token.as_ref().map(|token| AdminToken::new(token.expose_secret())),
            log: options.log.clone(),
            stopping: stop_admin.clone(),
        });
        let app_options = app_server(&manifest.host, max_body, options.backend.is_sidecar());
        Ok(Ports {
            app: Server::new(app_listener, app, app_options),
            admin: Server::new(listen(options.admin, "--admin")?, admin, admin_server(&manifest.host)),
            stop_admin,
        })
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn app_server(limits: &manifest::HostLimits, max_body: usize, behind_sidecar: bool) -> ServerOptions {
    let max_connections = max_connections(limits, behind_sidecar);
    ServerOptions {
        max_connections,
        max_connections_per_peer: limits.max_connections_per_peer().min(max_connections),
        health: &["/healthz", "/readyz"],
        max_body,
        body_time: limits.body_time,
        least_body_rate: bytes(limits.least_body_rate),
        max_held_body_bytes: Some(bytes(limits.max_held_body_bytes())),
        behind_sidecar,
    }
}

/// The connections that the process has file descriptors for: without one left, not even health would be answered.
fn max_connections(limits: &manifest::HostLimits, behind_sidecar: bool) -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let (wanted, allowed) = (limits.max_connections, allowed_connections(descriptors, behind_sidecar));
    if wanted > allowed {
        // With the usual limits of a process and the default, this is no reason to worry.
        tracing::info!(
            code = ErrorCode::ConnectionsCapped.as_str(),
            "max-connections is {wanted}, and the limit of open files ({descriptors}) allows {allowed}: using {allowed}"
        );
    }
    wanted.min(allowed)
}

/// Behind a sidecar there are as many connections again.
fn allowed_connections(descriptors: usize, behind_sidecar: bool) -> usize {
    let ports = if behind_sidecar { 2 } else { 1 };
    (descriptors.saturating_sub(OTHER_DESCRIPTORS) / ports).max(MIN_CONNECTIONS)
}

/// A component is large, and may arrive slowly.
fn admin_server(limits: &manifest::HostLimits) -> ServerOptions {
    ServerOptions {
        max_connections: ADMIN_CONNECTIONS,
        max_connections_per_peer: ADMIN_CONNECTIONS / 2,
        health: &["/health"],
        max_body: usize::try_from(MAX_COMPONENT).unwrap_or(usize::MAX),
        body_time: ADMIN_BODY_TIME,
        least_body_rate: bytes(limits.least_body_rate),
        max_held_body_bytes: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_health_and_the_operator() {
        assert_eq!(allowed_connections(1_024, false), 512);
        assert_eq!(allowed_connections(1_024, true), 256);
        assert_eq!(allowed_connections(100, false), MIN_CONNECTIONS);
        assert!(allowed_connections(usize::MAX, true) > 1_000_000);
    }
}
