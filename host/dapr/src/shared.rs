//! The hosts' shared state, in a state store of the sidecar. Dapr prefixes each key with the app's id, so other apps do
//! not see the values.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use dapr::dapr::proto::common::v1::{Etag, StateItem, StateOptions, state_options};
use dapr::dapr::proto::runtime::v1 as proto;
use tonic::Code;

use super::connection::Client;
use super::request::{STORE_TIMEOUT, within};
use super::status;
use daca_model::backend::{Error, SharedStore, SharedValue, SharedWriteError};

/// Concurrent reads of the store.
const PARALLEL_READS: i32 = 8;

/// The state store, for values that belong to no actor.
pub(super) struct SharedState {
    client: Client,
    store: String,
}

impl SharedState {
    pub(super) fn new(client: Client, store: String) -> SharedState {
        SharedState { client, store }
    }

    async fn is_there(&self, key: &str) -> bool {
        self.read(&[key.to_owned()]).await.is_ok_and(|values| values.into_iter().flatten().next().is_some())
    }
}

#[async_trait]
impl SharedStore for SharedState {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error> {
        let request = proto::GetBulkStateRequest {
            store_name: self.store.clone(),
            keys: keys.to_vec(),
            parallelism: PARALLEL_READS,
            metadata: HashMap::new(),
        };
        let mut client = self.client.clone();
        let answer = within(STORE_TIMEOUT, client.get_bulk_state(request)).await;
        let answer = answer.map_err(|status| status::meaning("the hosts' shared state", &status))?;
        let mut found = HashMap::new();
        for item in answer.into_inner().items {
            if !item.error.is_empty() {
                return Err(Error::Unavailable(format!("the hosts' shared state: {}", item.error)));
            }
            // A key without a value has no data.
            if !item.data.is_empty() {
                found.insert(item.key, SharedValue { value: item.data.into(), etag: item.etag });
            }
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError> {
        // With "first write" and no etag, the key must not exist yet.
        let options = expected.map(|_| StateOptions {
            concurrency: state_options::StateConcurrency::ConcurrencyFirstWrite.into(),
            consistency: state_options::StateConsistency::ConsistencyStrong.into(),
        });
        let item = StateItem {
            key: key.to_owned(),
            value: value.to_vec(),
            etag: expected.flatten().map(|etag| Etag { value: etag.to_owned() }),
            metadata: HashMap::new(),
            options,
        };
        let request = proto::SaveStateRequest { store_name: self.store.clone(), states: vec![item] };
        let mut client = self.client.clone();
        match within(STORE_TIMEOUT, client.save_state(request)).await {
            Ok(_) => Ok(()),
            // `ETagMismatch` in `pkg/api/grpc/grpc.go`.
            Err(status) if status.code() == Code::Aborted => Err(SharedWriteError::Conflict),
            // Without an etag a collision looks like any other failure.
            Err(status) => match expected {
                Some(None) if self.is_there(key).await => Err(SharedWriteError::Conflict),
                _ => Err(status::meaning("the hosts' shared state", &status).into()),
            },
        }
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let request = proto::DeleteStateRequest {
            store_name: self.store.clone(),
            key: key.to_owned(),
            etag: None,
            options: None,
            metadata: HashMap::new(),
        };
        let mut client = self.client.clone();
        let deleted = within(STORE_TIMEOUT, client.delete_state(request)).await;
        deleted.map(drop).map_err(|status| status::meaning("the hosts' shared state", &status))
    }
}
