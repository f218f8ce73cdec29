//! An agent type: its component, its settings, and the parts that have files of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;

use super::effects::EffectRules;
use super::file::{self, Deduplicate};
use super::limits::{self, AgentLimits};
use super::permissions::{self, Permissions};
use super::problems::Problems;
use super::{DevBuild, deploy, names};
use daca_base::ErrorCode;

/// The maximum of nested turns of one actor that a manifest may allow: the maximum number of actors that wait for one
/// another.
const MAX_NESTED: u32 = 32;

/// The largest weight: with more, a type of weight 1 would wait for seconds.
const MAX_WEIGHT: u32 = 1_000;

/// An agent type, as the manifest describes it: a field for each part of its table `[agents.TYPE]`.
#[derive(Debug)]
pub struct AgentType {
    /// The actor type that Dapr knows, such as `ChatAgent`.
    pub name: Arc<str>,
    /// The component file.
    pub component: NamedFile,
    /// An actor that was not called for this time is deactivated.
    pub idle_timeout: Duration,
    /// What all its actors have together.
    pub share: AgentShare,
    /// The settings that `wasi:config/store` returns, and no others.
    pub settings: BTreeMap<String, String>,
    /// The rules for calls of its actors.
    pub calls: CallRules,
    /// The retries and the order of its effects.
    pub effects: EffectRules,
    /// Limits of each turn and each instance.
    pub limits: AgentLimits,
    /// The permissions of the type.
    pub permissions: Permissions,
    /// The build of the component by `daca dev`.
    pub dev: Option<DevBuild>,
    /// The methods that routes and subscriptions call, with the line of the manifest that first names each.
    pub called: BTreeMap<String, usize>,
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

/// What all actors of a type may have of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentShare {
    /// The share of what the types divide among them, such as processor time: 1 to 1,000.
    pub weight: u32,
    /// The bytes on disk (embedded backend). `None` is no bound.
    pub storage: Option<ByteSize>,
}

/// A file that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    /// Line of the manifest that names it, for errors about the file.
    pub line: usize,
}

/// How the actors of a type are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRules {
    /// Whether and how an actor may be called while it waits for the reply to a call that led there.
    pub reentrancy: Option<Reentrancy>,
    /// Where the dedup log of hosts' calls is kept.
    pub deduplicate: Deduplicate,
}

/// Reentrancy: calls that come back to an actor while it waits for them. A calls B, and B calls A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reentrancy {
    /// The maximum number of nested turns of one actor.
    pub max_stack_depth: u32,
}

/// What the other tables of the manifest say of an agent type.
pub(super) struct Mentions {
    /// The topics that any type subscribes to: pubsub and topic.
    pub(super) subscribed: Arc<BTreeSet<(String, String)>>,
    /// The methods that routes and subscriptions call, and the byte of the file at which each is first named.
    pub(super) called: BTreeMap<String, usize>,
}

/// Builds an agent type from its table.
pub(super) fn build(
    name: toml::Spanned<String>,
    agent: file::Agent,
    folder: &Path,
    Mentions { subscribed, called }: Mentions,
    retry_delay: Duration,
    problems: &mut Problems<'_>,
) -> AgentType {
    let span = name.span();
    if let Err(error) = daca_model::check_agent_type(name.get_ref()) {
        problems.push(ErrorCode::ManifestInvalidName, span, error.to_string(), || {
            "use letters, digits, '-', '_' and '.'".into()
        });
    }
    let line = problems.position(agent.component.span().start).0;
    let called = called.into_iter().map(|(method, at)| (method, problems.position(at).0)).collect();
    let name: Arc<str> = name.into_inner().into();
    check_names(&name, &agent, problems);
    check_weight(&name, agent.weight, problems);
    if let Some(storage) = agent.storage {
        limits::check_size(&["agents", &name], "storage", storage, ByteSize(u64::MAX), problems);
    }
    agent.effects.check(&name, retry_delay, problems);
    agent.limits.check(&name, problems);
    limits::check_time(&["agents", &name], "idle-timeout", agent.idle_timeout, problems);
    AgentType {
        component: NamedFile { path: folder.join(agent.component.into_inner()), line },
        idle_timeout: agent.idle_timeout,
        share: AgentShare { weight: agent.weight, storage: agent.storage },
        settings: agent.settings,
        calls: CallRules {
            reentrancy: reentrancy(&name, agent.reentrancy, problems),
            deduplicate: agent.deduplicate,
        },
        effects: agent.effects,
        permissions: permissions::build(&name, agent.permissions, problems),
        dev: agent.dev.map(|dev| deploy::build_dev(&name, dev, folder, problems)),
        limits: agent.limits,
        called,
        subscribed,
        name,
    }
}

fn check_names(name: &str, agent: &file::Agent, problems: &mut Problems<'_>) {
    let component = names::check_path(&format!("agents.{name}.component"), agent.component.get_ref());
    problems.push_name(&["agents", name, "component"], component);
    for setting in agent.settings.keys() {
        let checked = names::check(&format!("a name in agents.{name}.settings"), setting);
        problems.push_name(&["agents", name, "settings", setting], checked);
    }
}

fn check_weight(name: &str, weight: u32, problems: &mut Problems<'_>) {
    if !(1..=MAX_WEIGHT).contains(&weight) {
        let span = problems.locate(&["agents", name, "weight"]);
        let message = format!("agents.{name}.weight: {weight} is out of range");
        problems.push(ErrorCode::ManifestInvalidLimit, span, message, || format!("write 1 to {MAX_WEIGHT}"));
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

/// A callable type that does not exist is nearly always a spelling mistake. It is no problem if the manifest's host is
/// one of several behind a sidecar, so it is only logged.
pub(super) fn warn_of_unknown_callees(agents: &BTreeMap<Arc<str>, Arc<AgentType>>) {
    for agent in agents.values() {
        for callee in agent.permissions.callees().filter(|callee| !agents.contains_key(*callee)) {
            tracing::warn!(
                agent_type = %agent.name,
                "agents.{}.permissions.actors names {callee}, which this manifest does not define",
                agent.name
            );
        }
    }
}
