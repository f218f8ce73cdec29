//! The state of actors: reads, and one transaction for each commit.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use daca_model::ActorAddress;
use daca_model::backend::{Error, Expiry, StateValue, StateWrite};
use dapr::dapr::proto::runtime::v1 as proto;
use jiff::Timestamp;

use super::connection::Client;
use super::request::{STORE_TIMEOUT, within};
use super::watch::SidecarStatus;
use super::{names, status};

/// The sidecar's state API for actors.
pub(super) struct StateClient {
    client: Client,
    known: SidecarStatus,
}

impl StateClient {
    pub(super) fn new(client: Client, known: SidecarStatus) -> StateClient {
        StateClient { client, known }
    }

    /// The values of some keys, in order.
    pub(super) async fn read(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let reads = keys.iter().map(|key| async {
            let request = proto::GetActorStateRequest {
                actor_type: actor.agent_type.to_string(),
                actor_id: names::segment(&actor.id),
                key: key.clone(),
            };
            let mut client = self.client.clone();
            let answer = within(STORE_TIMEOUT, client.get_actor_state(request)).await;
            let answer = answer.map_err(|status| status::error("the state could not be read", &status))?;
            let proto::GetActorStateResponse { data, metadata } = answer.into_inner();
            // Not every store reports the time to live: Redis does not (`Get` in `state/redis/redis.go`). A value that
            // may have one is then valid for this moment only.
            let expiry = match expiry(&metadata) {
                Some(at) => Expiry::At(at),
                None if self.known.has_ttl() => Expiry::Unknown,
                None => Expiry::Never,
            };
            // The sidecar answers a missing value and an empty one alike.
            Ok((!data.is_empty()).then(|| StateValue { value: data.into(), expiry }))
        });
        futures::future::try_join_all(reads).await
    }

    /// All of the writes, or none.
    pub(super) async fn save(
        &self,
        actor: &ActorAddress,
        writes: &BTreeMap<String, StateWrite>,
    ) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        let request = transaction(actor, writes, self.known.has_ttl());
        let mut client = self.client.clone();
        let saved = within(STORE_TIMEOUT, client.execute_actor_state_transaction(request)).await;
        saved.map(drop).map_err(|status| status::error("the state was not saved", &status))
    }

    /// A transaction without operations. The sidecar rejects it for an actor that is not in its table, and accesses no
    /// store (`TransactionalStateOperation` in `pkg/actors/state/state.go`).
    pub(super) async fn confirm_ownership(&self, actor: &ActorAddress) -> Result<(), Error> {
        let request = proto::ExecuteActorStateTransactionRequest {
            actor_type: actor.agent_type.to_string(),
            actor_id: names::segment(&actor.id),
            operations: Vec::new(),
        };
        let mut client = self.client.clone();
        let confirmed = within(STORE_TIMEOUT, client.execute_actor_state_transaction(request)).await;
        // Nothing was written, so the call may be retried whatever the reason.
        confirmed.map(drop).map_err(|status| {
            status::error("it is unknown whether this host owns the actor", &status).as_not_applied()
        })
    }
}

/// `may_expire` means that the sidecar accepts a time to live; without the feature it rejects even an empty one.
fn transaction(
    actor: &ActorAddress,
    writes: &BTreeMap<String, StateWrite>,
    may_expire: bool,
) -> proto::ExecuteActorStateTransactionRequest {
    proto::ExecuteActorStateTransactionRequest {
        actor_type: actor.agent_type.to_string(),
        actor_id: names::segment(&actor.id),
        operations: writes.iter().map(|(key, write)| operation(key, write, may_expire)).collect(),
    }
}

fn operation(key: &str, write: &StateWrite, may_expire: bool) -> proto::TransactionalActorStateOperation {
    let mut metadata = HashMap::new();
    let (operation_type, value) = match write {
        StateWrite::Set { value, ttl } => {
            // Dapr counts whole seconds. Rounded up: a value must not expire too early.
            let seconds = ttl.map(|ttl| ttl.as_millis().div_ceil(1000).max(1).to_string());
            // Redis keeps the previous value's time to live, unless it is told otherwise.
            let seconds = seconds.or_else(|| may_expire.then(|| "-1".to_owned()));
            metadata.extend(seconds.map(|seconds| ("ttlInSeconds".to_owned(), seconds)));
            ("upsert", Some(prost_types::Any { type_url: String::new(), value: value.to_vec() }))
        }
        StateWrite::Delete => ("delete", None),
    };
    proto::TransactionalActorStateOperation {
        operation_type: operation_type.to_owned(),
        key: key.to_owned(),
        value,
        metadata,
    }
}

/// The expiry of a value in the state store, from the metadata of the value.
fn expiry(metadata: &HashMap<String, String>) -> Option<SystemTime> {
    let text = metadata.get("ttlExpireTime")?;
    let time = SystemTime::try_from(text.parse::<Timestamp>().ok()?);
    time.ok().map(daca_base::clock::of_wall)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use daca_model::backend::TurnCommit;
    use prost::Message as _;

    use super::*;

    /// The runtime refuses what does not fit before it begins, by this estimate.
    #[test]
    fn a_transaction_is_no_longer_than_the_bytes_of_its_commit_and_an_address() {
        let actor = ActorAddress::new(&"A".repeat(128), &"\u{fc}".repeat(128)).expect("an address");
        for (number, bytes) in [(1, 0), (1, 4 << 20), (1_000, 1), (100, 20_000)] {
            for (may_expire, ttl) in [(false, None), (true, None), (true, Some(Duration::MAX))] {
                let write = StateWrite::Set { value: vec![7_u8; bytes].into(), ttl };
                let writes = (0..number).map(|key| (format!("key{key}"), write.clone()));
                let deleted = ("gone".to_owned(), StateWrite::Delete);
                let commit =
                    TurnCommit { writes: writes.chain([deleted]).collect(), ..TurnCommit::default() };
                let message = transaction(&actor, &commit.writes, may_expire).encoded_len() as u64;
                assert!(message <= commit.bytes() + crate::MAX_ADDRESS, "{number} of {bytes}: {message}");
            }
        }
    }
}
