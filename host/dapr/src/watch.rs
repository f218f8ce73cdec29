//! Follows the sidecar: whether it answers and hosts actors, and its features.
//!
//! The host is ready while the sidecar hosts its actors. After a gap, the actors may have been active elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use dapr::dapr::proto::runtime::v1 as proto;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::connection::Client;
use super::epoch::{Epoch, MIN_ABSENCE};
use super::request::within;
use super::required::ComponentNames;
use super::{release, status};
use daca_base::ErrorCode;

/// The interval between two checks of the sidecar.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A sidecar that does not answer within this time counts as gone.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which the sidecar's answer is valid, counted from the question: the lease. Placement lets at least as
/// much time pass between the moment in which it misses a sidecar and the table that gives its actors to others
/// (`--disseminate-timeout`, 1 to 3 s, in `pkg/placement/membership.go`). In normal operation, the sidecar ends the
/// activation of a moving actor before another one may have it.
const LEASE_TIME: Duration = MIN_ABSENCE;
/// The interval at which the log repeats that the host waits for the sidecar.
const REPEAT_INTERVAL: Duration = Duration::from_secs(15);
/// The time for which a sidecar may lack a state store before it is shut down.
const RESTART_AFTER: Duration = Duration::from_secs(20);
const NO_STORE: &str =
    "it has no state store for actors; apply a component with actorStateStore, and restart the sidecar";

/// The sidecar's last answer. Cheap to clone.
#[derive(Clone)]
pub(super) struct SidecarStatus {
    seen: Arc<RwLock<Seen>>,
    /// `false` while the sidecar does not answer at all.
    answers: Arc<watch::Sender<bool>>,
}

impl Default for SidecarStatus {
    /// Nothing is known yet: the sidecar may well be ready.
    fn default() -> SidecarStatus {
        SidecarStatus { seen: Arc::default(), answers: Arc::new(watch::Sender::new(true)) }
    }
}

#[derive(Default)]
struct Seen {
    hosts_actors: bool,
    /// The pub/sub components whose bulk publishing keeps the order.
    in_order: HashSet<String>,
    /// The names of all components that the sidecar has.
    components: HashSet<String>,
    /// `true` if one of them is a state store. It does not show whether it is marked for actors: Dapr 1.16 panics if an
    /// actor's state is requested without such a store. `daca check --components` detects that.
    has_state_store: bool,
    /// `true` if the feature `ActorStateTTL` of Dapr's Configuration is on.
    has_ttl: bool,
    /// The sidecar's release.
    release: String,
    /// `true` if the `failure_policy` of a reminder is respected.
    repeats_reminders: bool,
    /// The ownership epoch in which a sidecar that hosted actors was last asked and answered, and when it was asked, in
    /// [`Epoch::milliseconds`].
    confirmed: Option<(u64, u64)>,
}

impl SidecarStatus {
    pub(super) fn hosts_actors(&self) -> bool {
        self.read(|seen| seen.hosts_actors)
    }

    /// Returns `true` if the sidecar has confirmed in this ownership epoch, a moment before `now`
    /// ([`Epoch::milliseconds`]), that it hosts actors.
    pub(super) fn is_lease_valid(&self, epoch: u64, now: u64) -> bool {
        let is_recent = |asked| Duration::from_millis(now.saturating_sub(asked)) < LEASE_TIME;
        let confirmed = self.read(|seen| seen.confirmed);
        confirmed.is_some_and(|(of, asked)| of == epoch && is_recent(asked))
    }

    fn confirm_lease(&self, epoch: u64, asked: u64) {
        let mut seen = self.seen.write();
        seen.confirmed = Some((epoch, asked));
    }

    /// Returns `true` if a value of the state may have a time to live.
    pub(super) fn has_ttl(&self) -> bool {
        self.read(|seen| seen.has_ttl)
    }

    /// Returns `true` if a reminder whose turn failed fires again according to its registration.
    pub(super) fn repeats_reminders(&self) -> bool {
        self.read(|seen| seen.repeats_reminders)
    }

    /// Returns `true` if events that are published together to this component stay in order.
    pub(super) fn keeps_order(&self, pubsub: &str) -> bool {
        self.read(|seen| seen.in_order.contains(pubsub))
    }

    /// Returns `true` if the sidecar answered the last check.
    pub(super) fn answers(&self) -> bool {
        *self.answers.borrow()
    }

    /// Waits until the sidecar no longer answers: its pending answers should then not be waited for.
    pub(super) async fn silence(&self) {
        let mut answers = self.answers.subscribe();
        if answers.wait_for(|answers| !answers).await.is_err() {
            // The sender lives as long as this does.
            std::future::pending::<()>().await;
        }
    }

    fn read<T>(&self, of: impl FnOnce(&Seen) -> T) -> T {
        of(&self.seen.read())
    }

    /// Records an answer. The features of a sidecar are kept while it is away. Returns `true` if it hosted actors
    /// before.
    fn learn(&self, seen: &Result<Seen, Status>) -> bool {
        let now = seen.as_ref().err().is_none_or(is_an_answer);
        self.answers.send_if_modified(|answers| std::mem::replace(answers, now) != now);
        let mut known = self.seen.write();
        let before = known.hosts_actors;
        match seen {
            Ok(seen) => {
                known.hosts_actors = seen.hosts_actors;
                known.in_order.clone_from(&seen.in_order);
                known.has_ttl = seen.has_ttl;
                known.repeats_reminders = seen.repeats_reminders;
            }
            Err(_) => known.hosts_actors = false,
        }
        before
    }
}

/// Returns `true` if the sidecar itself sent this. Failed sends and timeouts have these codes.
fn is_an_answer(error: &Status) -> bool {
    !matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
}

/// Checks the sidecar.
async fn look(client: &Client) -> Result<Seen, Status> {
    let mut client = client.clone();
    let answer = within(TIMEOUT, client.get_metadata(proto::GetMetadataRequest {})).await?.into_inner();
    let components = answer.registered_components.iter().map(|component| component.name.clone()).collect();
    let has_state_store =
        answer.registered_components.iter().any(|component| component.r#type.starts_with("state."));
    // Kafka's hands all events to one producer (`BulkPublish` in `common/component/kafka/producer.go`).
    let kafka = answer.registered_components.iter().filter(|component| component.r#type == "pubsub.kafka");
    Ok(Seen {
        // Without a store it still takes part in placement, and every call fails.
        hosts_actors: has_state_store && answer.actor_runtime.is_some_and(|runtime| runtime.host_ready),
        in_order: kafka.map(|component| component.name.clone()).collect(),
        components,
        has_state_store,
        has_ttl: answer.enabled_features.iter().any(|feature| feature == "ActorStateTTL"),
        repeats_reminders: release::is_at_least(&answer.runtime_version, (1, 17, 0)),
        release: answer.runtime_version,
        confirmed: None,
    })
}

/// Waits until the sidecar no longer hosts actors, or is gone.
pub(super) async fn until_actors_are_given_up(client: &Client) {
    while look(client).await.is_ok_and(|seen| seen.hosts_actors) {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The task that follows the sidecar.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) client: Client,
    pub(super) epoch: Epoch,
    pub(super) known: SidecarStatus,
    pub(super) required: Arc<ComponentNames>,
    /// The sidecar's address, for people.
    pub(super) address: String,
    /// `true` if the sidecar is restarted when it ends.
    pub(super) restarts: bool,
}

impl Watch {
    /// Follows the sidecar, forever, and logs when it becomes available and unavailable.
    pub(super) async fn run(self) {
        let mut said = Said::default();
        let mut lacks_store_since = None;
        loop {
            let (asked_in, asked) = (self.epoch.now(), self.epoch.milliseconds());
            let seen = look(&self.client).await;
            let is_ready = seen.as_ref().is_ok_and(|seen| seen.hosts_actors);
            self.epoch.looked();
            if !is_ready {
                self.epoch.begin();
            }
            let was_ready = self.known.learn(&seen);
            if is_ready && self.epoch.now() == asked_in {
                self.known.confirm_lease(asked_in, asked);
            }
            if is_ready && !was_ready {
                tracing::info!("the Dapr sidecar at {} is ready and hosts this host's actors", self.address);
                said.reason = None;
            }
            if !is_ready {
                let does_not_run = self.restarts && seen.is_err();
                said.absence(&self.address, reason(&seen), was_ready, does_not_run);
            }
            if let Some(seen) = seen.as_ref().ok().filter(|_| is_ready) {
                said.missing(self.required.missing(&seen.components));
                said.release(&seen.release);
            }
            self.restart_if_storeless(&seen, &mut lacks_store_since).await;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// A sidecar reads the components when it starts, and without a state store it is useless. If it is restarted
    /// automatically, as a pod's container is, it is shut down, so that it finds a store that was applied in the
    /// meantime. It ends by itself for every other fault of its components.
    async fn restart_if_storeless(&self, seen: &Result<Seen, Status>, since: &mut Option<Instant>) {
        let lacks_store = seen.as_ref().is_ok_and(|seen| !seen.has_state_store);
        if !lacks_store || !self.restarts {
            *since = None;
            return;
        }
        if since.get_or_insert_with(Instant::now).elapsed() < RESTART_AFTER {
            return;
        }
        *since = None;
        tracing::info!(
            "telling the sidecar to shut down, so that it restarts and reads its components again"
        );
        let mut client = self.client.clone();
        // It is told again after the next such time.
        within(TIMEOUT, client.shutdown(proto::ShutdownRequest {})).await.ok();
    }
}

/// The last logged state, so that each is logged only once.
#[derive(Default)]
struct Said {
    /// Why the sidecar is unavailable, and when that was logged.
    reason: Option<(String, Instant)>,
    missing: Option<String>,
    /// The last checked release of the sidecar.
    release: String,
}

impl Said {
    fn absence(&mut self, address: &str, reason: String, was_ready: bool, does_not_run: bool) {
        let is_known =
            self.reason.as_ref().is_some_and(|(said, at)| *said == reason && at.elapsed() < REPEAT_INTERVAL);
        if is_known && !was_ready {
            return;
        }
        let is_start = self.reason.as_ref().is_none_or(|(said, _)| *said != reason) && reason != NO_STORE;
        if was_ready {
            tracing::warn!(
                code = ErrorCode::SidecarUnavailable.as_str(),
                "the Dapr sidecar at {address} was lost: {reason}"
            );
        } else if is_start {
            // Every start waits a moment, which is no reason for a warning.
            tracing::info!(
                code = ErrorCode::SidecarUnavailable.as_str(),
                "waiting for the Dapr sidecar at {address}: {reason}"
            );
        } else {
            tracing::warn!(
                code = ErrorCode::SidecarUnavailable.as_str(),
                "still waiting for the Dapr sidecar at {address}: {reason}{}",
                if does_not_run { "; its own log says why (kubectl logs -c daprd)" } else { "" }
            );
        }
        self.reason = Some((reason, Instant::now()));
    }

    /// Warns of a release that may deliver a call to another actor. The host refuses such calls of other hosts
    /// (`daca-routing`); those of other callers, reminders and timers cannot be recognised.
    fn release(&mut self, release: &str) {
        if self.release == release {
            return;
        }
        release.clone_into(&mut self.release);
        if release::misdelivers(release) {
            tracing::warn!(
                code = ErrorCode::DaprVersionUnsafe.as_str(),
                release,
                "Dapr {release} may deliver a call to another actor; install 1.16.2 or later (docs/dapr-releases.md)"
            );
        }
    }

    /// Logs the components of the manifest that the sidecar lacks, and when they are available.
    fn missing(&mut self, missing: Option<String>) {
        if missing == self.missing {
            return;
        }
        match &missing {
            Some(missing) => tracing::warn!(
                code = ErrorCode::DaprComponentAbsent.as_str(),
                "the sidecar lacks components that the manifest names: {missing}; apply them, and restart the sidecar"
            ),
            None => tracing::info!("the sidecar has all components that the manifest names"),
        }
        self.missing = missing;
    }
}

fn reason(seen: &Result<Seen, Status>) -> String {
    match seen {
        Ok(seen) if !seen.has_state_store => NO_STORE.to_owned(),
        Ok(_) => "it does not host actors yet (placement)".to_owned(),
        Err(error) if matches!(error.code(), Code::Unauthenticated | Code::PermissionDenied) => {
            format!("{}; does DAPR_API_TOKEN have the sidecar's token?", status::words(error))
        }
        Err(error) => status::words(error),
    }
}

#[cfg(test)]
mod tests {
    use daca_base::clock::moved::Machine;

    use super::*;

    #[test]
    fn a_lease_ends_even_if_the_machine_sleeps_meanwhile() {
        let machine = Machine::at(1_000_000_000_000);
        let (epoch, known) = (Epoch::with_clock(machine.clock()), SidecarStatus::default());
        known.confirm_lease(0, epoch.milliseconds());
        let is_valid = |of| known.is_lease_valid(of, epoch.milliseconds());
        machine.sleep(LEASE_TIME / 2);
        assert!(is_valid(0) && !is_valid(1));
        machine.sleep(LEASE_TIME / 2);
        assert!(!is_valid(0));
    }
}
