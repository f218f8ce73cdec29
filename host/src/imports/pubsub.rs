//! `daca:agent/pubsub`: events, which leave after the commit.

use super::no_turn;
use super::scope::{check_name, denied};
use crate::backend::{EffectRequest, cloud_event};
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::pubsub::{Error, Host};

impl Host for InstanceState {
    fn publish(&mut self, pubsub: String, topic: String, event: Vec<u8>) -> Result<u32, Error> {
        check_name("pub/sub name", &pubsub)?;
        check_name("topic", &topic)?;
        let turn = self.turn().map_err(no_turn)?;
        if !turn.options.agent.permissions.may_publish(&pubsub, &topic) {
            return Err(denied(self, "publish", &format!("{pubsub}/{topic}"), "publish to"));
        }
        turn.check_payload("the event", event.len())?;
        let event = event.into();
        let is_subscribed = turn.options.agent.takes_events_of(&pubsub, &topic);
        cloud_event::check_published(&event, is_subscribed)
            .map_err(|reason| Error::Invalid(format!("the event for {pubsub}/{topic}: {reason}")))?;
        turn.stage_effect(EffectRequest::Publish { pubsub, topic, event })
    }
}
