//! The lines of the log about effects that have left, or were given up.
//!
//! An agent decides how many there are, and what is in them. So they count as those of its guests: beyond the share of
//! its type in the log they are dropped, and counted.

use daca_base::ErrorCode;
use daca_base::telemetry::{printable, shortened};
use daca_model::ActorAddress;
use daca_model::backend::{Effect, Error};

use super::shared::Shared;
use crate::imports::LINE_BYTES;

impl Shared {
    /// An effect was delivered.
    pub(super) fn log_delivered(&self, actor: &ActorAddress, effect: &Effect) {
        let Some(line) = &effect.delivered_line else { return };
        if self.may_log(actor, &[line]) {
            tracing::info!(target: "agent", effect_id = &*effect.id, "{}", printable(line));
        }
    }

    /// An effect was given up.
    pub(super) fn log_given_up(&self, actor: &ActorAddress, effect: &Effect, error: &Error) {
        let error = error.to_string();
        let (effect_id, error) = (&*effect.id, printable(&error));
        if let Some(line) = &effect.undeliverable_line
            && self.may_log(actor, &[line, &error])
        {
            tracing::error!(target: "agent", effect_id, "{}: {error}", printable(line));
        }
        let target = effect.request.shown_target();
        // That effects of a type are given up is known all the same.
        let (rate, bytes) = (self.host.log_rate.get(), bytes_of(&[&target, &error]));
        if rate.is_some_and(|rate| rate.take_or_except(&actor.agent_type, bytes).is_err()) {
            return;
        }
        tracing::error!(
            code = ErrorCode::EffectGivenUp.as_str(),
            effect_id,
            "the effect {effect_id} for {} was given up, and becomes a dead letter: {error}",
            printable(&target)
        );
    }

    /// Takes a line with these texts out of what the type may log.
    fn may_log(&self, actor: &ActorAddress, texts: &[&str]) -> bool {
        let rate = self.host.log_rate.get();
        rate.is_none_or(|rate| rate.take(&actor.agent_type, bytes_of(texts)).is_ok())
    }
}

/// The bytes of a line with these texts.
fn bytes_of(texts: &[&str]) -> usize {
    LINE_BYTES + texts.iter().map(|text| shortened(text).len()).sum::<usize>()
}
