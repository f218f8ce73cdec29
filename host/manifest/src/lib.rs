//! The manifest (`agents.toml`): the agent types of a host, and their permissions and limits.
//!
//! A manifest is read in two steps. [`file`] is the form as written. This module turns it into [`Manifest`], in which
//! every string with a meaning is parsed, every reference is resolved, and every path is relative to the manifest's
//! folder. All problems are collected, each with its line and a help, so that one run of `daca check` shows them all.
//! Nothing after this step reads the text again.

mod dead_letters;
mod deploy;
mod file;
mod inputs;
mod limits;
mod path;
mod permissions;
pub mod reference;
mod routes;
pub mod signature;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use deploy::{CompileLimits, DeployRules, Dev};
pub use inputs::InputBinding;
pub use limits::{AgentLimits, HostLimits, sizes_for_people};
pub use permissions::Permissions;
pub use routes::{ActorIdSource, Call, Payload, Route, Subscription};
use serde::Deserialize;

use daca_base::explanation::framed;
use daca_base::{ErrorCode, Explained, Explanation};
pub use template::Template;

/// The maximum of nested turns of one actor that a manifest may allow: the maximum number of actors that wait for one
/// another.
const MAX_NESTED: u32 = 32;

/// A valid manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// Limits of the whole host.
    pub host: HostLimits,
    /// Agent types by name.
    pub agents: BTreeMap<Arc<str>, Arc<AgentType>>,
    /// HTTP routes, in the order of the file.
    pub routes: Vec<Route>,
    /// Subscriptions, in the order of the file.
    pub subscriptions: Vec<Subscription>,
    /// Input bindings, in the order of the file.
    pub input_bindings: Vec<InputBinding>,
    /// Settings of the Dapr backend, besides the sidecar's address.
    pub dapr: Dapr,
    /// The rules of deployments.
    pub deploy: Arc<DeployRules>,
    /// Settings of the embedded backend, besides its data directory.
    pub embedded: Embedded,
}

/// An agent type, as the manifest describes it.
#[derive(Debug)]
pub struct AgentType {
    /// The actor type that Dapr knows, such as `ChatAgent`.
    pub name: Arc<str>,
    /// The component file.
    pub component: PathBuf,
    /// Line of the manifest that names the component, for errors about the file.
    pub component_line: usize,
    /// An actor that was not called for this time is deactivated.
    pub idle_timeout: Duration,
    /// The settings that `wasi:config/store` returns, and no others.
    pub settings: BTreeMap<String, String>,
    /// Whether and how an actor of this type may be called while it waits for the reply to a call that led there.
    pub reentrancy: Option<Reentrancy>,
    /// Where the dedup log of hosts' calls is kept.
    pub deduplicate: Deduplicate,
    /// Limits of each turn and each instance.
    pub limits: AgentLimits,
    /// The permissions of the type.
    pub permissions: Permissions,
    /// The build of the component by `daca dev`.
    pub dev: Option<Dev>,
    /// The pub/sub components and topics to which the manifest itself subscribes.
    subscribed: Arc<BTreeSet<(String, String)>>,
}

impl AgentType {
    /// Returns `true` if the manifest itself subscribes to this topic. Its agents' events there must then be acceptable
    /// to its subscriptions.
    pub fn takes_events_of(&self, pubsub: &str, topic: &str) -> bool {
        self.subscribed.iter().any(|(own_pubsub, own_topic)| own_pubsub == pubsub && own_topic == topic)
    }
}

/// Reentrancy: calls that come back to an actor while it waits for them. A calls B, and B calls A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reentrancy {
    /// The maximum number of nested turns of one actor.
    pub max_stack_depth: u32,
}

/// Where the dedup log is kept for calls that a sidecar delivers again after a change of hosts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deduplicate {
    /// In the actor's state, in the turn's own commit, and on the host: a call is handled once, on any host.
    #[default]
    State,
    /// Only on the host: a call whose actor moves at the moment of its commit may be handled twice.
    Memory,
}

/// Settings of the Dapr backend.
#[derive(Debug, Clone)]
pub struct Dapr {
    /// The secret store component for `secrets.get`.
    pub secret_store: String,
    /// The state store component in which the hosts of the app share the records of deployments.
    pub state_store: String,
    /// `true` if calls of actors that are active on this host are direct, without the sidecar.
    pub direct_calls: bool,
}

/// Settings of the embedded backend.
#[derive(Debug, Clone, Default)]
pub struct Embedded {
    /// A JSON file of secrets: `{"name": "value"}` or `{"name": {"key": "value"}}`.
    pub secrets_file: Option<PathBuf>,
    /// The responses of `bindings.invoke`, by binding. A binding that is not listed responds with nothing.
    pub binding_responses: BTreeMap<String, String>,
}

/// Why a manifest is not valid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The file was read, and is invalid.
    #[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// All problems.
        problems: Vec<Problem>,
    },
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        match self {
            Error::Unreadable { .. } => {
                let help = "name a manifest with --manifest FILE";
                Some(Explanation::new(ErrorCode::ManifestUnreadable, help))
            }
            // Each problem has its own.
            Error::Invalid { .. } => None,
        }
    }
}

/// One problem of a manifest. Its `Display` is the text for people, with code and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, explained in `docs/errors/`.
    pub code: ErrorCode,
    /// The file.
    pub path: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { code, path, line, column, message, help } = self;
        let message = format!("{}:{line}:{column}: {message}", path.display());
        f.write_str(&framed("error", code, &message, Some(help)))
    }
}

impl Manifest {
    /// Reads and checks a manifest. Called once by `daca run` and `daca check`.
    pub fn load(path: &Path) -> Result<Manifest, Error> {
        Manifest::parse(path, &Manifest::text(path)?)
    }

    /// Reads the text of a manifest, for [`Manifest::parse`].
    pub fn text(path: &Path) -> Result<String, Error> {
        daca_base::text::read(path).map_err(|reason| Error::Unreadable { path: path.to_owned(), reason })
    }

    /// Checks the text of a manifest. `path` names it in errors, and its relative paths are relative to it.
    pub fn parse(path: &Path, text: &str) -> Result<Manifest, Error> {
        let mut problems = Problems { path, text, found: Vec::new() };
        let file: file::Manifest = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                problems.syntax(&error);
                return Err(Error::Invalid { problems: problems.found });
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let subscribed =
            file.subscriptions.iter().map(|one| (one.pubsub.get_ref().clone(), one.topic.clone()));
        let subscribed = Arc::new(subscribed.collect::<BTreeSet<_>>());
        let agents = file
            .agents
            .into_iter()
            .map(|(name, agent)| {
                let agent = build_agent(name, agent, folder, &subscribed, &mut problems);
                (agent.name.clone(), Arc::new(agent))
            })
            .collect::<BTreeMap<_, _>>();
        if agents.is_empty() {
            problems.push(ErrorCode::ManifestNoAgents, 0..0, "no agent type is named".into(), || {
                "add a table such as [agents.ChatAgent] with component = \"chat_agent.wasm\"".into()
            });
        }
        file.host.check(&mut problems);
        permissions::warn_of_unknown_callees(&agents);
        let (routes, subscriptions) = routes::build(file.routes, file.subscriptions, &agents, &mut problems);
        let input_bindings = inputs::build(file.input_bindings, &routes, &mut problems);
        let deploy = deploy::build(file.deploy, folder, &mut problems);
        if !problems.found.is_empty() {
            return Err(Error::Invalid { problems: problems.found });
        }
        Ok(Manifest {
            path: path.to_owned(),
            host: file.host,
            agents,
            routes,
            subscriptions,
            input_bindings,
            dapr: Dapr {
                secret_store: file.dapr.secret_store,
                state_store: file.dapr.state_store,
                direct_calls: file.dapr.direct_calls,
            },
            deploy: Arc::new(deploy),
            embedded: Embedded {
                secrets_file: file.embedded.secrets_file.map(|file| folder.join(file)),
                binding_responses: file.embedded.binding_responses,
            },
        })
    }
}

fn build_agent(
    name: toml::Spanned<String>,
    agent: file::Agent,
    folder: &Path,
    subscribed: &Arc<BTreeSet<(String, String)>>,
    problems: &mut Problems<'_>,
) -> AgentType {
    let span = name.span();
    if let Err(error) = daca_model::check_agent_type(name.get_ref()) {
        problems.push(ErrorCode::ManifestInvalidName, span, error.to_string(), || {
            "use letters, digits, '-', '_' and '.'".into()
        });
    }
    let component_line = problems.position(agent.component.span().start).0;
    let name: Arc<str> = name.into_inner().into();
    agent.limits.check(&name, problems);
    limits::check_time(&["agents", &name], "idle-timeout", agent.idle_timeout, problems);
    AgentType {
        component: folder.join(agent.component.into_inner()),
        component_line,
        idle_timeout: agent.idle_timeout,
        settings: agent.settings,
        reentrancy: reentrancy(&name, agent.reentrancy, problems),
        deduplicate: agent.deduplicate,
        permissions: permissions::build(&name, agent.permissions, problems),
        dev: agent.dev.map(|dev| deploy::build_dev(&name, dev, folder, problems)),
        limits: agent.limits,
        subscribed: subscribed.clone(),
        name,
    }
}

fn reentrancy(name: &str, file: Option<file::Reentrancy>, problems: &mut Problems<'_>) -> Option<Reentrancy> {
    let file::Reentrancy { enabled, max_stack_depth } = file?;
    if !(1..=MAX_NESTED).contains(&max_stack_depth) {
        let span = problems.locate(&["agents", name, "reentrancy", "max-stack-depth"]);
        let message = format!("agents.{name}.reentrancy.max-stack-depth: {max_stack_depth} is out of range");
        problems.push(ErrorCode::ManifestInvalidLimit, span, message, || format!("write 1 to {MAX_NESTED}"));
    }
    enabled.then_some(Reentrancy { max_stack_depth })
}

/// The message of an error of the form, with the names of Rust's types and of the reader's internals put into words.
fn readable(message: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        (", expected integer overflow", ", expected a size of 0 or more"),
        (", expected parsable string", ", expected a size such as \"64KiB\""),
        (", expected u32", ", expected a whole number from 0 to 4294967295"),
        (", expected u64", ", expected a whole number of 0 or more"),
        (", expected usize", ", expected a whole number of 0 or more"),
    ];
    let found = WORDS.iter().find_map(|(end, words)| Some((message.strip_suffix(end)?, words)));
    found.map_or_else(|| message.to_owned(), |(start, words)| format!("{start}{words}"))
}

/// Collects the problems of a manifest.
struct Problems<'a> {
    path: &'a Path,
    text: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn push(
        &mut self,
        code: ErrorCode,
        span: std::ops::Range<usize>,
        message: String,
        help: impl FnOnce() -> String,
    ) {
        let (line, column) = self.position(span.start);
        let path = self.path.to_owned();
        self.found.push(Problem { code, path, line, column, message, help: help() });
    }

    /// An error of TOML or of the file's form.
    fn syntax(&mut self, error: &toml::de::Error) {
        let message = readable(error.message());
        let unknown = message.contains("unknown field");
        let code = if unknown { ErrorCode::ManifestUnknownKey } else { ErrorCode::ManifestSyntax };
        self.push(code, error.span().unwrap_or(0..0), message, || {
            if unknown {
                "remove the key, or write it as one of the expected ones".into()
            } else {
                "see docs/reference/manifest.md for the keys and the form of their values".into()
            }
        });
    }

    /// The position in the text of the value with this path of keys; that of its table if it is not written.
    fn locate(&self, keys: &[&str]) -> std::ops::Range<usize> {
        let Ok(table) = toml::de::DeTable::parse(self.text) else { return 0..0 };
        let Some((last, tables)) = keys.split_last() else { return 0..0 };
        let mut table = table.get_ref();
        for key in tables {
            match table.get(*key).map(toml::Spanned::get_ref) {
                Some(toml::de::DeValue::Table(inner)) => table = inner,
                _ => return 0..0,
            }
        }
        table.get(*last).map_or(0..0, toml::Spanned::span)
    }

    /// Line and column, both counted from 1, of a byte offset.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}
