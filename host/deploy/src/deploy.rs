//! The changes that a [`Deployer`] makes: deployments, rollbacks and pins.

use std::time::Instant;

use super::agent::DeployedAgent;
use super::controller::{AppliedChange, ChangeRequest, NewVersion};
use super::library::Stored;
use super::prepare::{Candidate, Prepared};
use super::record::{Change, FileSeen, Origin, Record, Source};
use super::request::{DeployRequest, Deployed, Permit};
use super::{Deployer, Error};
use daca_base::digest::{begins_with, digest};
use daca_model::FileName;
use daca_model::deployment::Timings;

impl Deployer {
    /// Checks a component and deploys it.
    pub async fn deploy(
        &self,
        agent_type: &str,
        request: DeployRequest,
        _permit: Permit,
    ) -> Result<Deployed, Error> {
        self.deploy_from(agent_type, request, None).await
    }

    /// Deploys a version that this host or another one keeps, or that is in the mounted folder. It is named by its
    /// digest or a prefix of it.
    pub async fn deploy_kept(
        &self,
        agent_type: &str,
        version: &str,
        share: u8,
        label: Option<String>,
        origin: Origin,
        _permit: Permit,
    ) -> Result<Deployed, Error> {
        let agent = self.agent(agent_type)?;
        let version = self.find(agent, version).await?;
        let Stored { wasm, signature } = agent.load(&version).await?;
        // If it was never deployed, nobody has named its file.
        let request = DeployRequest { wasm, signature, file: None, share, label, origin };
        self.deploy_from(agent_type, request, None).await
    }

    /// Rolls back to the previous version. If there is a canary, only the canary ends.
    pub async fn roll_back(&self, agent_type: &str, force: bool, origin: Origin) -> Result<Deployed, Error> {
        let change = Change::RollBack { force, text: String::new(), only: None };
        self.change(agent_type, ChangeRequest::new(change, origin)).await
    }

    /// Pins an actor to a kept version.
    pub async fn pin(
        &self,
        agent_type: &str,
        actor_id: &str,
        version: &str,
        origin: Origin,
    ) -> Result<Deployed, Error> {
        let record = self.agent(agent_type)?.controller.record();
        let found = record.find(version)?.filter(|_| !version.is_empty());
        let version = found.ok_or_else(|| Error::version_unknown(version))?;
        let change = Change::Pin { actor: actor_id.to_owned(), version };
        self.change(agent_type, ChangeRequest::new(change, origin)).await
    }

    /// Unpins an actor.
    pub async fn unpin(&self, agent_type: &str, actor_id: &str, origin: Origin) -> Result<Deployed, Error> {
        let change = Change::Unpin { actor: actor_id.to_owned() };
        self.change(agent_type, ChangeRequest::new(change, origin)).await
    }

    /// Makes a change of known versions.
    async fn change(&self, agent_type: &str, request: ChangeRequest) -> Result<Deployed, Error> {
        self.check_open()?;
        let started = Instant::now();
        let agent = self.agent(agent_type)?;
        let applied = agent.controller.change(request).await?;
        let label = agent.controller.record().label(&applied.outcome.version).to_owned();
        Ok(deployed(agent, applied, label, Timings { check: 0, total: millis(started) }))
    }

    /// Deploys a component, which came from the manifest's `file` or a build if there is one.
    pub(super) async fn deploy_from(
        &self,
        agent_type: &str,
        request: DeployRequest,
        file: Option<FileSeen>,
    ) -> Result<Deployed, Error> {
        let started = Instant::now();
        let agent = self.agent(agent_type)?;
        if !(1..=100).contains(&request.share) {
            return Err(Error::share(request.share));
        }
        let version = digest(&request.wasm);
        // Another host's recent deployment is not a conflict.
        let record = agent.controller.look().await?;
        if request.share < 100 && record.serving == version {
            return Err(Error::serves_all(&version));
        }
        let (request, label, warnings) = self.request(agent, &record, version, request, file).await?;
        let check = millis(started);
        let applied = agent.controller.change(request).await?;
        let timings = Timings { check, total: millis(started) };
        Ok(Deployed { warnings, ..deployed(agent, applied, label, timings) })
    }

    /// The change that a deployment is, the label of its version, which is checked unless it serves already, and what is
    /// wrong with the version.
    async fn request(
        &self,
        agent: &DeployedAgent,
        record: &Record,
        version: String,
        request: DeployRequest,
        file: Option<FileSeen>,
    ) -> Result<(ChangeRequest, String, Vec<Error>), Error> {
        let DeployRequest { wasm, signature, file: sent, share, label, origin } = request;
        let bytes = wasm.len() as u64;
        let stored = Stored { wasm, signature };
        // A version keeps the name of its file.
        let is_known = record.versions.contains_key(&version);
        let name = if is_known { record.file_of(&version) } else { sent.clone() };
        // It keeps its label, unless another one is requested.
        let known = record.versions.get(&version).map(|metadata| metadata.label.clone());
        let is_done = record.is_done(&version, share) && (label.is_none() || label == known);
        let wanted = label.or(known);
        let mut warnings = Vec::new();
        let (label, migrates, name, new, known) = if is_done {
            (record.label(&version).to_owned(), false, None, None, Some((version.clone(), stored)))
        } else {
            let candidate =
                Candidate { name: name_of(&origin, sent.as_ref()), file: name, stored: stored.clone() };
            let checked = self.check(agent, candidate, wanted.as_deref()).await;
            if let Err(error) = &checked {
                self.record_refusal(agent, &version, error, &origin, file.clone()).await;
            }
            let Prepared { version, label, warnings: found } = checked?;
            warnings = found;
            let (migrates, name) = (version.has_migration(), version.file().cloned());
            (label.to_string(), migrates, name, Some(NewVersion { version, label, stored }), None)
        };
        let change = Change::Deploy { version, label: label.clone(), bytes, migrates, share, file: name };
        let request = ChangeRequest { change, origin, file, base: Some(record.revision), new, known };
        Ok((request, label, warnings))
    }

    async fn check(
        &self,
        agent: &DeployedAgent,
        candidate: Candidate<'_>,
        label: Option<&str>,
    ) -> Result<Prepared, Error> {
        self.check_open()?;
        let (preparation, actors) = (&self.inner.preparation, &self.inner.actors);
        let prepared = preparation.check(actors, &agent.agent, candidate, label).await?;
        agent.controller.record().check_schema(&prepared.label, prepared.version.has_migration())?;
        Ok(prepared)
    }

    /// Records that a version was refused, unless the cause may go away. Of a version that serves, only what was wanted
    /// of it is refused, such as its label: its history must not say that it is no good.
    async fn record_refusal(
        &self,
        agent: &DeployedAgent,
        version: &str,
        error: &Error,
        origin: &Origin,
        file: Option<FileSeen>,
    ) {
        let serves = file.is_none() && agent.controller.record().in_use().contains(version);
        if error.is_retryable() || serves {
            return;
        }
        let change =
            Change::Refuse { version: version.to_owned(), code: error.code, text: error.message.clone() };
        let file = file.map(|file| FileSeen { refused: true, ..file });
        let request = ChangeRequest { file, ..ChangeRequest::new(change, origin.clone()) };
        agent.controller.change(request).await.ok(); // the refusal stands, even if it cannot be recorded
    }

    async fn find(&self, agent: &DeployedAgent, prefix: &str) -> Result<String, Error> {
        if prefix.is_empty() {
            return Err(Error::version_unknown(prefix));
        }
        if let Some(found) = agent.controller.record().find(prefix)? {
            return Ok(found);
        }
        let mounted = self.mounted().await;
        let digests = mounted.into_iter().map(|mounted| mounted.digest);
        let mut found = digests.filter(|digest| begins_with(digest, prefix));
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found),
            (Some(_), Some(_)) => Err(Error::version_ambiguous(prefix)),
            (None, _) => {
                let mut unknown = Error::version_unknown(prefix);
                if let Some(problem) = self.mounted_problem().await {
                    unknown.message.push_str(&format!("; {}: {}", problem.code, problem.message));
                }
                Err(unknown)
            }
        }
    }
}

/// The name of a version's bytes in errors: the path of the file that this host has read, or the name that came with them.
fn name_of<'a>(origin: &'a Origin, file: Option<&'a FileName>) -> &'a str {
    match origin.source {
        Source::Dev | Source::File => &origin.initiated_by,
        _ => file.map_or("the component", FileName::as_str),
    }
}

fn deployed(agent: &DeployedAgent, applied: AppliedChange, label: String, milliseconds: Timings) -> Deployed {
    let AppliedChange { outcome, revision, stored_again } = applied;
    let (agent_type, warnings) = (agent.agent.name.clone(), Vec::new());
    Deployed { agent_type, outcome, label, revision, stored_again, milliseconds, warnings }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
