//! The common part of reminders and timers: staging and reading registrations.

use std::time::Duration;

use bytes::Bytes;

use super::TurnScope;
use super::scope::check_name;
use crate::contract::daca::agent::types::{Error, Schedule};
use daca_model::CallContext;
use daca_model::backend::{HOST_KEYS, Registration, WakeupKey, WakeupKind, begins_like_once_mark};

/// The number of reminders and timers that one turn may change.
const MAX_PER_TURN: usize = 100;

impl TurnScope {
    pub(super) fn register(
        &mut self,
        kind: WakeupKind,
        name: String,
        schedule: Schedule,
        data: Vec<u8>,
    ) -> Result<(), Error> {
        let handlers = self.options.handlers;
        let (has_handler, export) = match kind {
            WakeupKind::Reminder => (handlers.on_reminder, "on-reminder"),
            WakeupKind::Timer => (handlers.on_timer, "on-timer"),
        };
        if !has_handler {
            return Err(Error::Invalid(format!(
                "the component does not export {export}, so it could never fire"
            )));
        }
        if schedule.period_ms == Some(0) {
            return Err(Error::Invalid("a period of 0; leave it out to fire once".into()));
        }
        let least = millis(self.limits().least_period);
        if schedule.period_ms.is_some_and(|period| period < least) {
            return Err(Error::Invalid(format!(
                "a period of less than {least} ms, which is the limit least-period"
            )));
        }
        if schedule.ttl_ms.is_some_and(|ttl| ttl < schedule.due_ms) {
            return Err(Error::Invalid(
                "the time to live ends before it is due, so it could never fire".into(),
            ));
        }
        // Otherwise one that registers itself again in each of its turns, or lets another actor do it, would have no period
        // at all.
        let due = if self.is_after_wakeup() { schedule.due_ms.max(least) } else { schedule.due_ms };
        check_is_segment(&name)?;
        self.check_payload("the data", data.len())?;
        check_wakeup_data(kind, &data)?;
        let registration = Registration {
            due: Duration::from_millis(due),
            period: schedule.period_ms.map(Duration::from_millis),
            ttl: schedule.ttl_ms.map(|ttl| Duration::from_millis(ttl.max(due))),
            data: Bytes::from(data),
        };
        self.stage_wakeup(kind, name, Some(registration))
    }

    /// Returns `true` if a reminder or timer has caused the turn, be it by the calls of other actors.
    fn is_after_wakeup(&self) -> bool {
        let CallContext { is_woken, is_after_wakeup, .. } = self.options.context;
        self.staged.handled.is_some() || is_woken || is_after_wakeup
    }

    pub(super) fn unregister(&mut self, kind: WakeupKind, name: String) -> Result<(), Error> {
        self.stage_wakeup(kind, name, None)
    }

    pub(super) async fn registration(
        &mut self,
        kind: WakeupKind,
        name: String,
    ) -> Result<Option<(Vec<u8>, Schedule)>, Error> {
        check_wakeup_name(&name)?;
        check_is_segment(&name)?;
        let key = WakeupKey { kind, name };
        let registration = match self.staged.wakeups.get(&key) {
            Some(staged) => staged.clone(),
            None => {
                let known = self.options.backend.wakeup(&self.options.actor, &key).await;
                known.map_err(|error| self.met(error.into()))?
            }
        };
        Ok(registration.map(|registration| {
            let schedule = Schedule {
                due_ms: millis(registration.due),
                period_ms: registration.period.map(millis),
                ttl_ms: registration.ttl.map(millis),
            };
            (registration.data.into(), schedule)
        }))
    }

    fn stage_wakeup(
        &mut self,
        kind: WakeupKind,
        name: String,
        change: Option<Registration>,
    ) -> Result<(), Error> {
        check_wakeup_name(&name)?;
        let key = WakeupKey { kind, name };
        if self.staged.wakeups.len() >= MAX_PER_TURN && !self.staged.wakeups.contains_key(&key) {
            return Err(Error::TooLarge(format!(
                "the turn changes more than {MAX_PER_TURN} reminders and timers"
            )));
        }
        let bytes =
            |change: &Option<Registration>| change.as_ref().map_or(0, |change| change.data.len() as u64);
        let replaced = self.staged.wakeups.get(&key).map_or(0, bytes);
        self.take_state_bytes(replaced, bytes(&change))?;
        self.staged.wakeups.insert(key, change);
        Ok(())
    }
}

/// Checks the name of a reminder or timer of the guest. The host has some of its own.
fn check_wakeup_name(name: &str) -> Result<(), Error> {
    if name.starts_with(HOST_KEYS) {
        return Err(Error::Invalid(format!(
            "the name {name:?} begins with {HOST_KEYS}, which is reserved for the host"
        )));
    }
    check_name("name", name)
}

/// Checks that a name can be a segment of a path: a sidecar shows reminders at one, and whoever asks for it leaves such a
/// segment out, encoded or not. One from before this check can be unregistered.
fn check_is_segment(name: &str) -> Result<(), Error> {
    match name {
        "." | ".." => Err(Error::Invalid(format!(
            "the name {name:?} is one or two dots, which paths treat as a folder"
        ))),
        _ => Ok(()),
    }
}

/// Checks the data of a reminder. The host marks some by itself, and takes its mark off again.
fn check_wakeup_data(kind: WakeupKind, data: &[u8]) -> Result<(), Error> {
    if kind == WakeupKind::Reminder && begins_like_once_mark(data) {
        return Err(Error::Invalid(
            "the data begin with the byte 0xff and daca:once:, which is reserved for the host".into(),
        ));
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daca_manifest::Manifest;
    use daca_model::ActorAddress;

    use super::*;
    use crate::imports::{NullBackend, WakeupHandlers, scratch_scope};

    /// When a timer is due that is to fire at once and is registered in a turn with this context.
    fn due_in(context: CallContext) -> Duration {
        let manifest = "[agents.A]\ncomponent = \"a.wasm\"\n";
        let manifest = Manifest::parse(Path::new("agents.toml"), manifest).expect("a manifest");
        let agent = manifest.agents.get("A").expect("the agent type");
        let handlers = WakeupHandlers { on_reminder: true, on_timer: true };
        let mut scope = scratch_scope(agent, ["a", "t"], handlers, NullBackend::default(), None);
        scope.options.context = context;
        let schedule = Schedule { due_ms: 0, period_ms: None, ttl_ms: None };
        let registered = scope.register(WakeupKind::Timer, "again".to_owned(), schedule, Vec::new());
        registered.expect("it is staged");
        scope.staged.wakeups.values().flatten().map(|timer| timer.due).sum()
    }

    /// Two actors that register each other's timers have a period as well.
    #[test]
    fn what_a_call_of_a_woken_actor_registers_is_due_no_sooner_than_the_least_period() {
        let caller = ActorAddress::new("B", "b").expect("an address");
        let least = Duration::from_millis(10);
        let here = CallContext { is_after_wakeup: true, ..CallContext::default() };
        assert_eq!(due_in(here.with(&caller)), least);
        let of_other_host = CallContext { is_woken: true, ..CallContext::default() };
        assert_eq!(due_in(of_other_host.with(&caller)), least);
        assert_eq!(due_in(CallContext::default().with(&caller)), Duration::ZERO);
    }

    #[test]
    fn no_name_is_left_out_of_a_path() {
        for name in [".", ".."] {
            let refused = check_is_segment(name);
            assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        }
        for name in ["...", "a.", ".a", "%2E"] {
            assert!(check_is_segment(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn no_agent_registers_data_with_the_mark_of_the_host() {
        let marked = b"\xffdaca:once:0123456789abcdef";
        let refused = check_wakeup_data(WakeupKind::Reminder, marked);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        assert!(check_wakeup_data(WakeupKind::Reminder, &marked[1..]).is_ok());
        assert!(check_wakeup_data(WakeupKind::Timer, marked).is_ok());
    }
}
