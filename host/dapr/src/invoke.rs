//! One attempt to call an actor through the sidecar. `daca-routing` decides whether there is another one.

use std::collections::HashMap;
use std::time::Duration;

use daca_model::backend::ActorCall;
use dapr::dapr::proto::runtime::v1 as proto;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::connection::Client;
use super::names::segment;
use super::request::{traced, within};
use super::status::InvokeError;
use super::watch::SidecarStatus;

/// Calls actors through the sidecar.
pub struct Invoker {
    client: Client,
    known: SidecarStatus,
}

/// One attempt to call an actor.
pub struct InvokeAttempt<'a> {
    /// The call.
    pub call: &'a ActorCall,
    /// The headers for the actor's host.
    pub headers: HashMap<String, String>,
    /// The W3C trace context of the call.
    pub traceparent: Option<&'a str>,
    /// Hosts of this app have the actor. It decides what the status of a refusal means.
    pub is_of_a_host: bool,
}

impl Invoker {
    pub(super) fn new(client: Client, known: SidecarStatus) -> Invoker {
        Invoker { client, known }
    }

    /// Returns `true` if the sidecar answered the last check.
    pub fn answers(&self) -> bool {
        self.known.answers()
    }

    /// Makes the attempt, and returns the body of the answer. It ends early when the sidecar no longer answers, or when
    /// `cut` is cancelled.
    pub async fn invoke(
        &self,
        attempt: InvokeAttempt<'_>,
        timeout: Duration,
        cut: &CancellationToken,
    ) -> Result<Vec<u8>, InvokeError> {
        let InvokeAttempt { call, headers, traceparent, is_of_a_host } = attempt;
        let request = proto::InvokeActorRequest {
            actor_type: call.actor.agent_type.to_string(),
            actor_id: segment(&call.actor.id),
            method: segment(&call.method),
            data: call.payload.to_vec(),
            metadata: headers,
        };
        let mut client = self.client.clone();
        let request = traced(request, traceparent);
        let answer = tokio::select! {
            biased;
            answer = within(timeout, client.invoke_actor(request)) => answer,
            () = self.known.silence() => Err(Status::unavailable("the Dapr sidecar does not answer")),
            () = cut.cancelled() => Err(Status::unavailable("the host is shutting down")),
        };
        match answer {
            Ok(answer) => Ok(answer.into_inner().data),
            Err(status) => Err(InvokeError::new(&call.actor, &status, is_of_a_host)),
        }
    }
}
