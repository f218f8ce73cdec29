//! The door to the runtime: everything that a deployment controller needs from it. Unit tests put a runtime without
//! an engine behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use daca_manifest::AgentType;
use daca_model::FileName;
use daca_runtime::actor::Actors;
use daca_runtime::component::ComponentVersion;

use crate::Error;
use crate::prepare::{Candidate, Preparation, label_for};
use crate::type_folder::blocking;

/// A loaded version, as far as a deployment controller looks at it.
pub(crate) trait Version: Send + Sync + 'static {
    /// The SHA-256 of its bytes.
    fn digest(&self) -> &str;
    /// Returns `true` if it has a migration.
    fn has_migration(&self) -> bool;
    /// Returns `false` for a script whose stacks show another name of its file, or none.
    fn shows(&self, file: Option<&FileName>) -> bool;
}

/// The runtime of one agent type.
pub(crate) trait VersionRuntime: Clone + Send + Sync + 'static {
    /// A loaded version.
    type Version: Version;

    /// Checks the signature and compiles.
    fn load(
        &self,
        candidate: Candidate<'_>,
    ) -> impl Future<Output = Result<Arc<Self::Version>, Error>> + Send;

    /// The label that a version gives itself, else its digest.
    fn label_of(&self, version: &Arc<Self::Version>) -> impl Future<Output = Result<Arc<str>, Error>> + Send;

    /// Removes the compiled code of all versions of this type but these.
    fn keep_code_of(&self, versions: BTreeSet<String>) -> impl Future<Output = ()> + Send;

    /// Drops the instances of idle actors that are not on the version that serves them.
    fn drop_outdated_instances(&self) -> impl Future<Output = ()> + Send;
}

impl Version for ComponentVersion {
    fn digest(&self) -> &str {
        &self.outline.digest
    }

    fn has_migration(&self) -> bool {
        ComponentVersion::has_migration(self)
    }

    fn shows(&self, file: Option<&FileName>) -> bool {
        self.script.as_ref().is_none_or(|script| script.file.as_ref() == file)
    }
}

/// The runtime of an agent type on a host.
#[derive(Clone)]
pub(crate) struct HostRuntime {
    pub(crate) agent: Arc<AgentType>,
    pub(crate) actors: Actors,
    pub(crate) preparation: Preparation,
}

impl VersionRuntime for HostRuntime {
    type Version = ComponentVersion;

    async fn load(&self, candidate: Candidate<'_>) -> Result<Arc<ComponentVersion>, Error> {
        self.preparation.load(&self.agent, candidate).await
    }

    async fn label_of(&self, version: &Arc<ComponentVersion>) -> Result<Arc<str>, Error> {
        label_for(&self.actors, &self.agent, version, None).await
    }

    async fn keep_code_of(&self, versions: BTreeSet<String>) {
        let (preparation, agent_type) = (self.preparation.clone(), self.agent.name.clone());
        let remove = move || {
            preparation.keep_code_of(&agent_type, versions);
            Ok(())
        };
        blocking(remove).await.ok(); // retried after the next deployment
    }

    async fn drop_outdated_instances(&self) {
        self.actors.drop_outdated_instances(&self.agent.name).await;
    }
}
