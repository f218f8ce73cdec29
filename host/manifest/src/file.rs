//! The manifest as written, with the defaults: one struct for each table, and one field for each key, however many they
//! are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;

use super::{AgentLimits, EffectRules, HostLimits, Problems, limits, names, tables};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) host: HostLimits,
    #[serde(default)]
    pub(super) dapr: Dapr,
    #[serde(default)]
    pub(super) deploy: Deploy,
    #[serde(default)]
    pub(super) embedded: Embedded,
    #[serde(default)]
    pub(super) agents: BTreeMap<Spanned<String>, Agent>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    #[serde(default)]
    pub(super) subscriptions: Vec<Subscription>,
    #[serde(default)]
    pub(super) input_bindings: Vec<InputBinding>,
}

impl Manifest {
    /// The manifest, if it has the right form.
    pub(super) fn read(problems: &mut Problems<'_>) -> Option<Manifest> {
        tables::check(problems);
        if !problems.found.is_empty() {
            return None;
        }
        toml::from_str(problems.text).map_err(|error| problems.syntax(&error)).ok()
    }

    /// The methods that routes and subscriptions call, by agent type, and the byte at which each is first named.
    pub(super) fn called(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let of_routes = self.routes.iter().map(|route| (&route.agent, &route.call));
        let of_events = self.subscriptions.iter().filter_map(|one| one.agent.as_ref().zip(one.call.as_ref()));
        let mut called = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (agent, method) in of_routes.chain(of_events) {
            let methods = called.entry(agent.get_ref().clone()).or_default();
            methods.entry(method.get_ref().clone()).or_insert(method.span().start);
        }
        called
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Dapr {
    pub(super) secret_store: String,
    pub(super) state_store: String,
    pub(super) direct_calls: bool,
    pub(super) max_body_size: ByteSize,
}

impl Dapr {
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        for (key, name) in [("secret-store", &self.secret_store), ("state-store", &self.state_store)] {
            let checked = names::check_component(&format!("dapr.{key}"), name);
            problems.push_name(&["dapr", key], checked);
        }
        limits::check_size(&["dapr"], "max-body-size", self.max_body_size, limits::MAX_SIZE, problems);
    }
}

impl Default for Dapr {
    fn default() -> Dapr {
        Dapr {
            secret_store: "secretstore".into(),
            state_store: "statestore".into(),
            direct_calls: false,
            max_body_size: ByteSize::mib(4),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Deploy {
    pub(super) signers: Vec<Spanned<String>>,
    #[serde(with = "humantime_serde")]
    pub(super) window: Duration,
    pub(super) margin: u32,
    pub(super) least_turns: u32,
    pub(super) keep: u32,
    pub(super) versions: Option<PathBuf>,
    #[serde(with = "humantime_serde")]
    pub(super) compile_time: Duration,
    pub(super) compile_memory: ByteSize,
}

impl Default for Deploy {
    fn default() -> Deploy {
        Deploy {
            signers: Vec::new(),
            window: Duration::from_secs(60),
            margin: 10,
            least_turns: 10,
            keep: 20,
            versions: None,
            compile_time: Duration::from_secs(30),
            compile_memory: ByteSize::mib(768),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Embedded {
    pub(super) secrets_file: Option<PathBuf>,
    pub(super) binding_responses: BTreeMap<String, String>,
}

impl Embedded {
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        if let Some(path) = &self.secrets_file {
            let checked = names::check_path("embedded.secrets-file", path);
            problems.push_name(&["embedded", "secrets-file"], checked);
        }
        for name in self.binding_responses.keys() {
            let checked = names::check_component("a name in embedded.binding-responses", name);
            problems.push_name(&["embedded", "binding-responses", name], checked);
        }
    }
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Agent {
    pub(super) component: Spanned<PathBuf>,
    #[serde(default = "ten_minutes", with = "humantime_serde")]
    pub(super) idle_timeout: Duration,
    #[serde(default = "one")]
    pub(super) weight: u32,
    pub(super) storage: Option<ByteSize>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    pub(super) reentrancy: Option<Reentrancy>,
    #[serde(default)]
    pub(super) deduplicate: Deduplicate,
    #[serde(default)]
    pub(super) effects: EffectRules,
    #[serde(default)]
    pub(super) limits: AgentLimits,
    #[serde(default)]
    pub(super) permissions: Permissions,
    pub(super) dev: Option<Dev>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Dev {
    pub(super) build: Spanned<String>,
    pub(super) watch: Spanned<Vec<PathBuf>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Reentrancy {
    pub(super) enabled: bool,
    pub(super) max_stack_depth: u32,
}

impl Default for Reentrancy {
    fn default() -> Reentrancy {
        Reentrancy { enabled: true, max_stack_depth: 32 }
    }
}

fn one() -> u32 {
    1
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Permissions {
    pub(super) publish: Vec<Spanned<String>>,
    pub(super) bindings: Vec<Spanned<String>>,
    pub(super) actors: Vec<Spanned<String>>,
    pub(super) secrets: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Route {
    pub(super) method: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) agent: Spanned<String>,
    pub(super) call: Spanned<String>,
    pub(super) actor_id: Spanned<ActorId>,
    pub(super) payload: Option<Spanned<Payload>>,
    pub(super) reply: Option<Spanned<toml::Value>>,
    pub(super) invalid: Option<String>,
    pub(super) malformed: Option<String>,
    pub(super) rate: Option<Spanned<String>>,
    pub(super) rate_by: Option<Spanned<String>>,
    pub(super) log: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ActorId {
    pub(super) path: Option<String>,
    pub(super) field: Option<String>,
    pub(super) default: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected \"body\", \"none\" or { field = \"FIELD\" }")]
pub(super) enum Payload {
    Word(String),
    Field { field: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Subscription {
    pub(super) pubsub: Spanned<String>,
    pub(super) topic: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) log: Option<Spanned<String>>,
    pub(super) agent: Option<Spanned<String>>,
    pub(super) call: Option<Spanned<String>>,
    pub(super) actor_id: Option<Spanned<ActorId>>,
    pub(super) payload: Option<Spanned<Payload>>,
    pub(super) dead_letter: Option<Spanned<String>>,
    #[serde(default = "five")]
    pub(super) attempts: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct InputBinding {
    pub(super) binding: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) dead_letter: Spanned<String>,
    #[serde(default = "five")]
    pub(super) attempts: u32,
}

fn five() -> u32 {
    5
}
