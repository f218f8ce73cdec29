//! `daca:agent/pubsub`: events, which leave after the commit.

use super::Imports;
use super::scope::check_name;
use crate::contract::daca::agent::pubsub::{Error, Host};
use daca_model::backend::EffectRequest;
use daca_model::cloud_event;

impl Host for Imports<'_> {
    fn publish(&mut self, pubsub: String, topic: String, event: Vec<u8>) -> Result<u32, Error> {
        check_name("pub/sub name", &pubsub)?;
        check_name("topic", &topic)?;
        let turn = &mut *self.scope;
        if !turn.options.agent.permissions.may_publish(&pubsub, &topic) {
            return Err(self.denied("publish", &format!("{pubsub}/{topic}"), "publish to"));
        }
        turn.check_payload("the event", event.len())?;
        let event = event.into();
        let is_subscribed = turn.options.agent.takes_events_of(&pubsub, &topic);
        cloud_event::check_published(&event, is_subscribed)
            .map_err(|reason| Error::Invalid(format!("the event for {pubsub}/{topic}: {reason}")))?;
        turn.stage_effect(EffectRequest::Publish { pubsub, topic, event })
    }
}
