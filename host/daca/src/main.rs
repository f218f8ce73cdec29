//! The `daca` program: parses arguments, builds the parts, runs them, shuts them down.

mod arguments;
mod printing;
#[cfg(test)]
mod reference;
mod signals;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use daca_base::ErrorCode;
use daca_base::memory::machine;
use daca_base::task;
use daca_base::telemetry::{self, Log};
use daca_client as client;
use daca_client::{Admin, Deployment, EffectsView, LogRequest, TopRequest};
use daca_dapr::SidecarOptions;
use daca_host::dev::Dev;
use daca_host::host::{BackendOptions, Host, Options};
use daca_host::kubernetes::Pod;
use daca_host::{Failure, admin_token, app_token, check, compile, explain, new, restore, sign};
use daca_manifest::Manifest;
use daca_model::admin::EffectsAction;
use daca_runtime::component;
use tokio_util::sync::CancellationToken;

use crate::arguments::{
    AdminArguments, Arguments, BackendChoice, CheckArguments, Command, DeadLetterArguments, DeployArguments,
    EffectsArguments, EffectsCommand, LogsArguments, RunArguments,
};
use crate::printing::{check_output, print, print_answer, print_error, print_once};

/// The time that the end of a host waits for the readers of its log.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// The time that the end of the process waits for blocked threads.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    machine::prepare_allocator();
    let ended = match Arguments::try_parse() {
        Ok(arguments) => execute(arguments.command),
        Err(answer) => answer_arguments(&answer),
    };
    ended.unwrap_or_else(|failure| {
        print_error(format_args!("{failure}\n"));
        ExitCode::FAILURE
    })
}

/// Ends with code 0 after the help or the version, and with code 2 after arguments that make no sense.
fn answer_arguments(answer: &clap::Error) -> Result<ExitCode, Failure> {
    print_answer(answer)?;
    Ok(u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    // The compiler writes no files, and has limits of its own.
    if !matches!(command, Command::CompileComponent(_)) {
        signals::survive_file_limit()?;
    }
    let done = match command {
        Command::Run(arguments) => return run(arguments, false),
        Command::Dev(arguments) => return run(arguments, true),
        Command::Check(arguments) => check(arguments),
        Command::Compile { manifest, out } => {
            let files = compile::run(&manifest, &out)?;
            let lines = files.iter().map(|file| format!("{}\n", file.display()));
            print(&lines.collect::<String>()).map_err(Into::into)
        }
        Command::CompileEngine { out } => {
            let file = compile::engine_of_scripts(&out)?;
            print(&format!("{}\n", file.display())).map_err(Into::into)
        }
        Command::CompileComponent(arguments) => component::run_compiler(&arguments).map_err(Into::into),
        Command::Sign(arguments) => sign(&arguments),
        Command::Invoke { actor, method, payload, admin } => {
            ask(&admin, async |host| client::invoke(host, &actor, &method, payload.as_deref()).await)
        }
        Command::Ps { agent_type, form, admin } => {
            ask(&admin, async |host| client::ps(host, agent_type.as_deref(), form.form()).await)
        }
        Command::Top { agent_type, once, actors, by, form, admin } => {
            check_output()?;
            let request = TopRequest { once, actors, agent_type, by: by.order() };
            let top = async |host: &Admin| {
                client::top(host, &request, form.form(), &mut std::io::stdout()).await?;
                Ok(String::new())
            };
            ask(&admin, top)
        }
        Command::Logs(arguments) => logs(arguments),
        Command::Deploy(arguments) => deploy(&arguments),
        Command::Rollback { agent_type, force, form, admin } => {
            ask(&admin, async |host| client::rollback(host, &agent_type, force, form.form()).await)
        }
        Command::Pin { actor, version, form, admin } => {
            ask(&admin, async |host| client::pin(host, &actor, &version, form.form()).await)
        }
        Command::Unpin { actor, form, admin } => {
            ask(&admin, async |host| client::unpin(host, &actor, form.form()).await)
        }
        Command::Versions { agent_type, form, admin } => {
            ask(&admin, async |host| client::versions(host, agent_type.as_deref(), form.form()).await)
        }
        Command::Effects(arguments) => effects(arguments),
        Command::Backup { output, force, admin } => {
            ask(&admin, async |host| client::backup(host, &output, force).await)
        }
        Command::Restore { file, data } => restore(&file, &data),
        Command::Explain { code } => explain(code.as_deref()),
        Command::New { name, lang } => new(&name, &lang),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn logs(arguments: LogsArguments) -> Result<(), Failure> {
    let LogsArguments { of, follow, limit, form, admin } = arguments;
    check_output()?;
    let request = LogRequest { of: of.as_deref(), limit, follow };
    let logs = async |host: &Admin| {
        client::logs(host, &request, form.form(), &mut std::io::stdout()).await?;
        Ok(String::new())
    };
    ask(&admin, logs)
}

fn check(arguments: CheckArguments) -> Result<(), Failure> {
    let CheckArguments { manifest, components, app_id } = arguments;
    let components = components.map(|folder| check::Components { folder, app_id });
    let report = check::run(&manifest, components.as_ref())?;
    print_error(&report.remarks);
    Ok(print(&report.text)?)
}

fn explain(code: Option<&str>) -> Result<(), Failure> {
    Ok(print(&explain::run(code)?)?)
}

fn new(name: &str, language: &str) -> Result<(), Failure> {
    Ok(print(&new::run(name, language, Path::new(""))?)?)
}

fn restore(file: &Path, data: &Path) -> Result<(), Failure> {
    Ok(print(&restore::run(file, data)?)?)
}

fn sign(arguments: &sign::SignArguments) -> Result<(), Failure> {
    let text = sign::run(arguments)?;
    match arguments.new_key() {
        Some(key) => print_once(&text, || {
            format!("the key is in its file; to see the line: daca sign --key {} --public", key.display())
        })?,
        None => print(&text)?,
    }
    Ok(())
}

/// Runs a host; with `builds`, it also builds the agents and swaps them when their sources change. A failure is
/// reported through the log, because the reader of standard error may have stopped.
fn run(arguments: RunArguments, builds: bool) -> Result<ExitCode, Failure> {
    let log = telemetry::start(arguments.log_format)?;
    let shutdown = signals::watch(log.output.clone())?;
    let ended = run_logged(arguments, builds, &log, shutdown);
    if let Err(failure) = &ended {
        log.output.push(format!("{failure}\n").as_bytes());
    }
    log.output.flush(LOG_TIMEOUT);
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_logged(
    arguments: RunArguments,
    builds: bool,
    log: &Log,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let admin_token = admin_token::find(arguments.admin_token_file.as_deref())?;
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)?;
    let options = Options {
        manifest: arguments.manifest,
        listen: arguments.listen,
        admin: arguments.admin,
        admin_token,
        data: arguments.data,
        compiled: arguments.compiled.or_else(compile::beside_this_program),
        backend: backend(arguments.backend)?,
        rolls_back: !builds,
        log: log.clone(),
    };
    let result = runtime.block_on(serve(options, builds, shutdown));
    // Work that still runs on a thread that cannot be interrupted is useless by now.
    runtime.shutdown_timeout(LAST_WORK);
    result
}

fn deploy(arguments: &DeployArguments) -> Result<(), Failure> {
    let deployment = Deployment {
        agent_type: &arguments.agent_type,
        what: &arguments.what,
        share: arguments.share,
        label: arguments.label.as_deref(),
        signature: arguments.signature.as_deref(),
    };
    let form = arguments.form.form();
    ask(&arguments.admin, async |host| client::deploy(host, &deployment, form).await)
}

fn effects(arguments: EffectsArguments) -> Result<(), Failure> {
    let EffectsArguments { change, of, payload, from, form, admin } = arguments;
    let (action, which) = match change {
        Some(EffectsCommand::Retry(which)) => (EffectsAction::Retry, which),
        Some(EffectsCommand::Discard(which)) => (EffectsAction::Discard, which),
        None => {
            let view = EffectsView { of: of.as_deref(), payload, from: from.as_deref() };
            return ask(&admin, async |host| client::effects(host, view, form.form()).await);
        }
    };
    let DeadLetterArguments { actor, id, all, form, admin } = which;
    let id = id.filter(|_| !all);
    ask(&admin, async |host| client::change_effects(host, action, &actor, id.as_deref(), form.form()).await)
}

/// Calls a running host, and prints its answer.
fn ask(
    arguments: &AdminArguments,
    command: impl AsyncFnOnce(&Admin) -> Result<String, client::Error>,
) -> Result<(), Failure> {
    let admin = Admin::new(&arguments.admin, admin_token::find(arguments.admin_token_file.as_deref())?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let text = runtime.block_on(command(&admin))?;
    if text.is_empty() {
        return Ok(());
    }
    Ok(print(&format!("{text}\n"))?)
}

async fn serve(options: Options, builds: bool, shutdown: CancellationToken) -> Result<(), Failure> {
    let mut sources = match builds {
        true => Some(Dev::new(&Manifest::load(&options.manifest)?)?),
        false => None,
    };
    if let Some(sources) = &mut sources {
        sources.build_all(&shutdown).await;
    }
    // Compiling, and waiting for an absent sidecar, may take long.
    let Some(host) = shutdown.run_until_cancelled(start(&options, sources.as_mut())).await else {
        tracing::info!("stopped before it served");
        return Ok(());
    };
    let host = host?;
    // Behind a sidecar the host becomes ready later, and logs that itself.
    let state = if matches!(options.backend, BackendOptions::Embedded) { "ready" } else { "listening" };
    let no_address = |error: std::io::Error| Failure::verbatim(error.to_string());
    let address = host.address().map_err(no_address)?;
    let admin = host.admin_address().map_err(no_address)?;
    tracing::info!(
        %address,
        %admin,
        "{state}: http://{address} (admin http://{admin}), {} backend, data in {}",
        options.backend.name(),
        options.data.display()
    );
    let deployer = Arc::new(host.deployer().clone());
    let sources = sources.map(|sources| tokio::spawn(sources.run(deployer.clone(), shutdown.clone())));
    let reports = Pod::from_environment().map(|pod| {
        let stop = shutdown.clone();
        let report = move || pod.clone().report(deployer.clone(), stop.clone());
        tokio::spawn(task::lasting("events of the cluster", report))
    });
    host.run(shutdown).await;
    if let Some(sources) = sources {
        sources.await.map_err(|error| Failure::at("watching the sources", &error))?;
    }
    if let Some(reports) = reports {
        reports.await.map_err(|error| Failure::at("telling the cluster", &error))?;
    }
    Ok(())
}

/// Starts the host. With sources, it waits for a component that can serve: each change of a source is another attempt.
async fn start(options: &Options, mut sources: Option<&mut Dev>) -> Result<Host, Failure> {
    loop {
        let started = Box::pin(Host::start(options)).await;
        let (Err(failure), Some(sources)) = (&started, &mut sources) else { return started };
        if !Host::lacks_build(failure) {
            return started;
        }
        options.log.output.push(format!("{failure}\n").as_bytes());
        tracing::warn!(
            code = ErrorCode::DevNotServed.as_str(),
            "no host runs yet; the next change of a source is the next attempt"
        );
        sources.rebuild().await;
    }
}

fn no_runtime(error: std::io::Error) -> Failure {
    Failure::at("starting the runtime", &error)
}

/// The variables that announce a sidecar.
const SIDECAR_VARIABLES: [&str; 2] = ["DAPR_GRPC_PORT", "DAPR_GRPC_ENDPOINT"];

fn backend(choice: BackendChoice) -> Result<BackendOptions, Failure> {
    let has_sidecar = SIDECAR_VARIABLES
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if choice == BackendChoice::Embedded || (choice == BackendChoice::Auto && !has_sidecar) {
        if app_token::is_set() {
            tracing::warn!(
                code = ErrorCode::AppTokenIgnored.as_str(),
                "APP_API_TOKEN has no effect without a Dapr sidecar: no request needs it"
            );
        }
        return Ok(BackendOptions::Embedded);
    }
    let app_token = app_token::find()?;
    Ok(BackendOptions::Dapr { sidecar: SidecarOptions::from_environment(), app_token })
}

/// Each connection is a file. The soft limit is often 1,024; raising it to the hard one needs no rights.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit on open files could not be raised: {error}");
    }
}
