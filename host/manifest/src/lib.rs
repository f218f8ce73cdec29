//! The manifest (`agents.toml`): the agent types of a host, and their permissions and limits.
//!
//! A manifest is read in two steps. [`file`] is the form as written. This module turns it into [`Manifest`], in which
//! every string with a meaning is parsed, every reference is resolved, and every path is relative to the manifest's
//! folder. All problems are collected, each with its line and a help, so that one run of `daca check` shows them all.
//! Nothing after this step reads the text again.

mod agent;
mod dead_letters;
mod deploy;
mod effects;
mod file;
mod inputs;
mod limits;
mod names;
mod path;
mod permissions;
mod problems;
mod rate;
pub mod reference;
mod reply;
mod routes;
pub mod signature;
mod tables;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use agent::{AgentShare, AgentType, CallRules, NamedFile, Reentrancy};
pub use deploy::{CompileLimits, DeployRules, DevBuild};
pub use effects::{EffectOrder, EffectRules};
pub use file::Deduplicate;
pub use inputs::InputBinding;
pub use limits::{AgentLimits, HostLimits, sizes_for_people};
pub use permissions::Permissions;
pub use problems::Problem;
use problems::Problems;
pub use rate::{Rate, RateBy};
pub use routes::{ActorIdSource, Call, Payload, Route, Subscription};
pub use template::Template;

use bytesize::ByteSize;
use daca_base::shares::Weights;
use daca_base::{ErrorCode, Explained, Explanation};

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
    pub dapr: DaprSettings,
    /// The rules of deployments.
    pub deploy: Arc<DeployRules>,
    /// Settings of the embedded backend, besides its data directory.
    pub embedded: EmbeddedSettings,
}

impl Manifest {
    /// The weights by which the agent types share what the host has.
    pub fn weights(&self) -> Weights {
        self.agents.values().map(|agent| (agent.name.clone(), agent.share.weight)).collect()
    }
}

/// Settings of the Dapr backend.
#[derive(Debug, Clone)]
pub struct DaprSettings {
    /// The secret store component for `secrets.get`.
    pub secret_store: String,
    /// The state store component in which the hosts of the app share the records of deployments.
    pub state_store: String,
    /// `true` if calls of actors that are active on this host are direct, without the sidecar.
    pub direct_calls: bool,
    /// The largest message that the sidecar accepts: its `--max-body-size`.
    pub max_body_size: ByteSize,
}

/// Settings of the embedded backend.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedSettings {
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
        let Some(file) = file::Manifest::read(&mut problems) else {
            return Err(Error::Invalid { problems: problems.found });
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let subscribed =
            file.subscriptions.iter().map(|one| (one.pubsub.get_ref().clone(), one.topic.get_ref().clone()));
        let subscribed = Arc::new(subscribed.collect::<BTreeSet<_>>());
        let mut called = file.called();
        let retry_delay = file.host.effect_retry_delay;
        let agents = file
            .agents
            .into_iter()
            .map(|(name, agent)| {
                let called = called.remove(name.get_ref()).unwrap_or_default();
                let mentions = agent::Mentions { subscribed: subscribed.clone(), called };
                let agent = agent::build(name, agent, folder, mentions, retry_delay, &mut problems);
                (agent.name.clone(), Arc::new(agent))
            })
            .collect::<BTreeMap<_, _>>();
        if agents.is_empty() {
            problems.push(ErrorCode::ManifestNoAgents, 0..0, "no agent type is named".into(), || {
                "add a table such as [agents.ChatAgent] with component = \"chat_agent.wasm\"".into()
            });
        }
        file.host.check(&mut problems);
        file.dapr.check(&mut problems);
        file.embedded.check(&mut problems);
        agent::warn_of_unknown_callees(&agents);
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
            dapr: DaprSettings {
                secret_store: file.dapr.secret_store,
                state_store: file.dapr.state_store,
                direct_calls: file.dapr.direct_calls,
                max_body_size: file.dapr.max_body_size,
            },
            deploy: Arc::new(deploy),
            embedded: EmbeddedSettings {
                secrets_file: file.embedded.secrets_file.map(|file| folder.join(file)),
                binding_responses: file.embedded.binding_responses,
            },
        })
    }
}
