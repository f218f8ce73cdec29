//! The command line of `daca`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use daca_base::address;
use daca_base::telemetry::LogFormat;
use daca_client::Form;
use daca_model::admin::TopOrder;

/// Runs Dapr virtual actors whose logic is a WebAssembly component.
#[derive(Parser)]
#[command(name = "daca", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a folder with a new agent: its manifest, tests that run, and a README
    New {
        /// The name of the folder. The agent type has it, too: ChatAgent for chat
        name: String,
        #[arg(long, value_name = "LANG", help = format!("The language: {}", daca_host::new::languages().join(", ")))]
        lang: String,
    },
    /// Run the agents of a manifest until SIGINT, SIGTERM or SIGHUP
    Run(RunArguments),
    /// Run the agents as `run` does, and rebuild and swap each one when its sources change
    Dev(RunArguments),
    /// Validate a manifest and its components, and print the imports, exports and permissions of each
    Check(CheckArguments),
    /// Compile the components of a manifest ahead of time, for `run --compiled`
    Compile {
        /// The manifest
        #[arg(long, default_value = "agents.toml")]
        manifest: PathBuf,
        /// The folder for the code
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Compile the engine of scripts ahead of time
    #[command(hide = true)]
    CompileEngine {
        /// The folder for the code
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Compile one component in a separate process
    #[command(hide = true)]
    CompileComponent(daca_runtime::component::compiler::child::CompilerArguments),
    /// Sign a component, or create a signing key
    Sign(daca_host::sign::SignArguments),
    /// Call a method of an actor on a running host
    Invoke {
        /// The actor, as TYPE/ID
        actor: String,
        /// The method, such as ProcessMessage
        method: String,
        /// The payload, in JSON; without one, no bytes are sent
        #[arg(allow_hyphen_values = true)]
        payload: Option<String>,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show the serving versions of the agent types, with their turns and failures
    Ps {
        /// Only this agent type
        agent_type: Option<String>,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show what the agent types use and the actors that use most, again and again until Ctrl-C
    Top {
        /// Only actors of this agent type
        agent_type: Option<String>,
        /// One page, even on a terminal
        #[arg(long)]
        once: bool,
        /// The number of actors
        #[arg(long, default_value_t = 20)]
        actors: usize,
        /// What the actors are ordered by
        #[arg(long, value_enum, default_value = "processor")]
        by: TopChoice,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show the log of a running host
    Logs(LogsArguments),
    /// Deploy a component for an agent type, without a restart
    Deploy(DeployArguments),
    /// Roll back to the version that served before
    Rollback {
        /// The agent type
        agent_type: String,
        /// Roll back even if the host advises against it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Pin one actor to a version
    Pin {
        /// The actor, as TYPE/ID
        actor: String,
        /// 8 to 64 digits of the version
        version: String,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Unpin an actor, so that it follows its agent type again
    Unpin {
        /// The actor, as TYPE/ID
        actor: String,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show the versions of the agent types, and their history
    Versions {
        /// Only this agent type
        agent_type: Option<String>,
        #[command(flatten)]
        form: FormArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show pending effects and dead letters on all hosts, and retry or discard dead letters
    Effects(EffectsArguments),
    /// Back up a running host: the state of its actors, and the deployed versions
    Backup {
        /// The file for the backup
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Make a data folder from a backup
    Restore {
        /// The backup
        file: PathBuf,
        /// The data folder: it is empty, or does not exist
        #[arg(long, default_value = ".daca")]
        data: PathBuf,
    },
    /// Explain an error code, or list all of them
    Explain {
        /// The code, such as host-busy; all codes by default
        code: Option<String>,
    },
}

#[derive(clap::Args)]
pub(crate) struct RunArguments {
    /// The manifest
    #[arg(long, default_value = "agents.toml")]
    pub(crate) manifest: PathBuf,
    /// The address for routes and subscriptions
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "HOST:PORT", value_parser = address::listen)]
    pub(crate) listen: SocketAddr,
    /// The address of the admin API; without a token it must be a loopback address
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "HOST:PORT", value_parser = address::listen)]
    pub(crate) admin: SocketAddr,
    /// A file with the token for the admin API; the default is DACA_ADMIN_TOKEN, if it is set
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// The folder for state and compiled code
    #[arg(long, default_value = ".daca")]
    pub(crate) data: PathBuf,
    /// A folder of code from `daca compile`, so that the start compiles nothing
    #[arg(long, value_name = "DIR", env = "DACA_COMPILED", hide_env_values = true)]
    pub(crate) compiled: Option<PathBuf>,
    /// The backend for state, events and calls
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) backend: BackendChoice,
    /// The format of the log on standard error
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    /// The sidecar if its environment variables are set, otherwise embedded
    Auto,
    /// This process and one file
    Embedded,
    /// The Dapr sidecar
    Dapr,
}

/// What the actors of `daca top` are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopChoice {
    /// The processor time of the last second
    Processor,
    /// The memory that they have
    Memory,
    /// The turns of the last second
    Turns,
    /// The calls that wait for them
    Queued,
    /// The bytes that they have logged in the last second
    LogBytes,
}

impl TopChoice {
    /// The same for the host.
    pub(crate) fn order(self) -> TopOrder {
        match self {
            TopChoice::Processor => TopOrder::Processor,
            TopChoice::Memory => TopOrder::Memory,
            TopChoice::Turns => TopOrder::Turns,
            TopChoice::Queued => TopOrder::Queued,
            TopChoice::LogBytes => TopOrder::LogBytes,
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    /// The manifest
    #[arg(long, default_value = "agents.toml")]
    pub(crate) manifest: PathBuf,
    /// A folder of Dapr's components, to check against the manifest
    #[arg(long, value_name = "DIR")]
    pub(crate) components: Option<PathBuf>,
    /// The app id of the sidecar that loads them
    #[arg(long, default_value = "chat-agent", requires = "components")]
    pub(crate) app_id: String,
}

#[derive(clap::Args)]
pub(crate) struct LogsArguments {
    /// An agent type or an actor, as TYPE or TYPE/ID; all lines by default
    pub(crate) of: Option<String>,
    /// Follow the log: also show new lines, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The maximum number of past lines
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) admin: AdminArguments,
}

#[derive(clap::Args)]
pub(crate) struct DeployArguments {
    /// The agent type
    pub(crate) agent_type: String,
    /// The component's file, or 8 to 64 digits of a version that the host has
    #[arg(value_name = "FILE|DIGEST")]
    pub(crate) what: String,
    /// Percent of the actors that it serves; 100 by default
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) share: Option<u8>,
    /// The label of the version
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// The file of its signature; by default the component's file name with .sig appended, if that file exists
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) admin: AdminArguments,
}

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EffectsArguments {
    #[command(subcommand)]
    pub(crate) change: Option<EffectsCommand>,
    /// An agent type or an actor, as TYPE or TYPE/ID; all actors by default
    pub(crate) of: Option<String>,
    /// Also show payloads and metadata, which may be secret; of one actor
    #[arg(long, requires = "of")]
    pub(crate) payload: bool,
    /// Go on where the page before has ended
    #[arg(long, value_name = "NEXT")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) admin: AdminArguments,
}

#[derive(Subcommand)]
pub(crate) enum EffectsCommand {
    /// Make dead letters pending effects again, with the same identity
    #[command(override_usage = "daca effects retry [OPTIONS] <ACTOR> <ID|--all>")]
    Retry(DeadLetterArguments),
    /// Remove dead letters, which are then never sent
    #[command(override_usage = "daca effects discard [OPTIONS] <ACTOR> <ID|--all>")]
    Discard(DeadLetterArguments),
}

#[derive(clap::Args)]
pub(crate) struct DeadLetterArguments {
    /// The actor, as TYPE/ID
    pub(crate) actor: String,
    /// The identity of the dead letter
    #[arg(required_unless_present = "all")]
    pub(crate) id: Option<String>,
    /// All dead letters of the actor
    #[arg(long, conflicts_with = "id")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) admin: AdminArguments,
}

/// The host of a command.
#[derive(clap::Args)]
pub(crate) struct AdminArguments {
    /// The host's admin port
    #[arg(
        long,
        env = "DACA_ADMIN",
        hide_env_values = true,
        default_value = "127.0.0.1:8001",
        value_name = "HOST:PORT"
    )]
    pub(crate) admin: String,
    /// A file with the host's admin token; the default is DACA_ADMIN_TOKEN, if it is set
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct FormArguments {
    /// Print the host's JSON
    #[arg(long)]
    json: bool,
}

impl FormArguments {
    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}
