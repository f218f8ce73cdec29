//! The `daca` program: parses arguments, builds the parts, runs them, shuts them down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use daca_host::backend::dapr::SidecarOptions;
use daca_host::host::{BackendOptions, Host, Options};
use daca_host::telemetry::{self, Hidden, LogFormat};
use daca_host::{check, client, sign};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs Dapr virtual actors whose logic is a WebAssembly component.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agents of a manifest until SIGINT or SIGTERM
    Run(RunArguments),
    /// Validate a manifest and its components, and print what each imports, exports and may do
    Check(CheckArguments),
    /// Call a method of an actor on a running host
    Invoke {
        /// The actor, as TYPE/ID
        actor: String,
        /// The method, such as ProcessMessage
        method: String,
        /// The payload, in JSON
        #[arg(default_value = "null", allow_hyphen_values = true)]
        payload: String,
        /// The host's admin port
        #[arg(long, default_value = "127.0.0.1:8001")]
        admin: String,
    },
    /// Sign a component, or make a key to sign with
    Sign(sign::Arguments),
}

#[derive(clap::Args)]
struct CheckArguments {
    /// The manifest
    #[arg(long, default_value = "agents.toml")]
    manifest: PathBuf,
    /// A folder of Dapr's components, to check against the manifest
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// The app whose sidecar loads them
    #[arg(long, default_value = "chat-agent", requires = "components")]
    app_id: String,
}

#[derive(clap::Args)]
struct RunArguments {
    /// The manifest
    #[arg(long, default_value = "agents.toml")]
    manifest: PathBuf,
    /// Where to serve routes and subscriptions
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Where to serve the admin API; a loopback address
    #[arg(long, default_value = "127.0.0.1:8001")]
    admin: SocketAddr,
    /// The folder for state and compiled code
    #[arg(long, default_value = ".daca")]
    data: PathBuf,
    /// Where state, events and calls go
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendChoice,
    /// The form of the log on standard error
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// The sidecar when its environment variables are set, else embedded
    Auto,
    /// This process and one file
    Embedded,
    /// The Dapr sidecar
    Dapr,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Invoke { actor, method, payload, admin } => invoke(&admin, &actor, &method, &payload),
        Command::Sign(arguments) => sign::run(&arguments).map(|text| print!("{text}")).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(arguments: CheckArguments) -> anyhow::Result<()> {
    let CheckArguments { manifest, components, app_id } = arguments;
    let components = components.map(|folder| check::Components { folder, app_id });
    let report = check::run(&manifest, components.as_ref())?;
    eprint!("{}", report.remarks);
    print!("{}", report.text);
    Ok(())
}

fn run(arguments: RunArguments) -> anyhow::Result<()> {
    telemetry::start(arguments.log_format).map_err(anyhow::Error::msg)?;
    allow_many_files();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(serve(Options {
        manifest: arguments.manifest,
        listen: arguments.listen,
        admin: arguments.admin,
        data: arguments.data,
        backend: backend(arguments.backend),
    }))
}

fn invoke(admin: &str, actor: &str, method: &str, payload: &str) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let reply = runtime.block_on(client::invoke(admin, actor, method, payload))?;
    println!("{reply}");
    Ok(())
}

async fn serve(options: Options) -> anyhow::Result<()> {
    // Before anything listens: a signal that arrives early must end the host in order, too.
    let shutdown = shutdown_on_signal()?;
    let host = Host::start(&options).await?;
    // Behind a sidecar readiness comes later, and is told then.
    let state = if matches!(options.backend, BackendOptions::Embedded) { "ready" } else { "listening" };
    tracing::info!(
        address = %host.address()?,
        admin = %host.admin_address()?,
        "{state}: http://{} (admin http://{}), {} backend, data in {}",
        host.address()?,
        host.admin_address()?,
        options.backend.name(),
        options.data.display()
    );
    host.run(shutdown).await;
    Ok(())
}

/// A second signal ends the process at once.
fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_second {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// The variables by which a sidecar makes itself known.
const SIDECAR_VARIABLES: [&str; 2] = ["DAPR_GRPC_PORT", "DAPR_GRPC_ENDPOINT"];

fn backend(choice: BackendChoice) -> BackendOptions {
    let has_sidecar = SIDECAR_VARIABLES
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if choice == BackendChoice::Embedded || (choice == BackendChoice::Auto && !has_sidecar) {
        return BackendOptions::Embedded;
    }
    let app_token = std::env::var("APP_API_TOKEN").ok().filter(|token| !token.is_empty()).map(Hidden);
    BackendOptions::Dapr { sidecar: SidecarOptions::from_environment(), app_token }
}

/// Each connection is a file. The soft limit is often 1,024; raising it to the hard one needs no rights.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit on open files stays as it is: {error}");
    }
}
