//! Reacts to files that are missing on this host's disk.

use super::{ChangeRequest, DeploymentController, VersionRuntime};
use crate::Error;
use crate::library::Missing;
use daca_base::digest::short;

impl<R: VersionRuntime> DeploymentController<R> {
    /// Checks whether the next start would find the serving versions.
    pub(super) async fn look_at_files(&mut self) {
        self.keeper.look_at_files(&self.versions.left_out, &self.rules).await;
        // The other hosts' versions are in the state that they share.
        let is_kept = self.keeper.missing().is_none() || self.replica.shared().is_some();
        self.view.send_if_modified(|view| std::mem::replace(&mut view.is_kept, is_kept) != is_kept);
    }

    /// Refuses a change of this host alone that the next start would not find. Hosts with shared state agree there.
    pub(super) async fn check_kept(&mut self) -> Result<(), Error> {
        self.look_at_files().await;
        match self.keeper.missing() {
            Some(missing @ Missing::Record(_)) if self.replica.shared().is_none() => {
                Err(Error::record_missing(missing))
            }
            _ => Ok(()),
        }
    }

    /// Stores a version that serves already again, if its file is missing or damaged. Returns `true` if it was.
    pub(super) async fn restore_version_file(
        &mut self,
        request: &ChangeRequest<R::Version>,
    ) -> Result<bool, Error> {
        let Some((version, stored)) = &request.known else { return Ok(false) };
        let was_restored = self.versions.folder.restore(version, stored.clone(), self.rules.clone()).await?;
        if was_restored {
            tracing::info!(
                agent_type = %self.agent_type,
                "the file of version {} was missing or damaged, and is stored again",
                short(version)
            );
            self.look_at_files().await;
        }
        Ok(was_restored)
    }
}
