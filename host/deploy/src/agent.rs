//! An agent type, for its deployments.

use std::sync::Arc;

use daca_manifest::AgentType;
use parking_lot::Mutex;

use super::Error;
use super::controller::ControllerHandle;
use super::library::Stored;
use super::record::FileSeen;
use super::shared::SharedType;
use super::type_folder::TypeFolder;
use daca_base::digest::short;

/// An agent type with its deployment controller, which alone changes the serving versions.
pub(super) struct DeployedAgent {
    pub(super) agent: Arc<AgentType>,
    pub(super) controller: Arc<ControllerHandle>,
    pub(super) folder: TypeFolder,
    pub(super) shared: Option<SharedType>,
    /// The digest of the last build of `daca dev`, which the file watcher ignores.
    last_build: Mutex<Option<String>>,
}

impl DeployedAgent {
    pub(super) fn new(
        agent: Arc<AgentType>,
        controller: ControllerHandle,
        folder: TypeFolder,
        shared: Option<SharedType>,
    ) -> DeployedAgent {
        let (controller, last_build) = (Arc::new(controller), Mutex::default());
        DeployedAgent { agent, controller, folder, shared, last_build }
    }

    /// Returns `true` if this content of the file was deployed, by any host.
    pub(super) fn was_deployed(&self, digest: &str) -> bool {
        let is_it = |seen: &FileSeen| seen.digest == digest && !seen.refused;
        self.controller.record().file.as_ref().is_some_and(is_it)
    }

    /// Notes the result of a build.
    pub(super) fn set_last_build(&self, digest: &str) {
        *self.last_build.lock() = Some(digest.to_owned());
    }

    /// Returns `true` if this is the result of the last build.
    pub(super) fn is_last_build(&self, digest: &str) -> bool {
        self.last_build.lock().as_deref() == Some(digest)
    }

    /// The bytes of a version: from this host's folders, else from the other hosts.
    pub(super) async fn load(&self, version: &str) -> Result<Stored, Error> {
        let own = match self.folder.load(version).await {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => Error::version_unknown(short(version)),
            Err(error) => error,
        };
        let Some(shared) = &self.shared else { return Err(own) };
        let stored = shared.get(version).await.map_err(|error| Error::shared_unavailable(&error))?;
        stored.ok_or(own)
    }
}
