//! A failed effect, as the contract shows it to the guest.

use crate::contract::daca::agent::types::Error;
use crate::contract::exports::daca::agent::on_effect_failed as guest;
use daca_model::backend::{BindingRequest, EffectRequest, FailedEffect};

/// The arguments of `on-effect-failed`.
pub(super) fn arguments(failed: FailedEffect) -> (guest::FailedEffect, Error) {
    let FailedEffect { effect, attempts, reason, .. } = failed;
    let request = match effect.request {
        EffectRequest::Publish { pubsub, topic, event } => {
            guest::Request::Publish(guest::Published { pubsub, topic, event: event.into() })
        }
        EffectRequest::Send(BindingRequest { name, operation, data, metadata }) => {
            let metadata = metadata.into_iter().collect();
            guest::Request::Send(guest::Sent { binding: name, operation, data: data.into(), metadata })
        }
    };
    (guest::FailedEffect { id: effect.id.to_string(), request, attempts }, reason.into())
}
