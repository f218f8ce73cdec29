//! Reminders and timers of the sidecar: the encoding of schedules.

use std::time::Duration;

use bytes::Bytes;
use dapr::dapr::proto::common::v1::{JobFailurePolicy, JobFailurePolicyConstant, job_failure_policy::Policy};
use dapr::dapr::proto::runtime::v1 as proto;

use super::names::segment;
use daca_base::go_duration;
use daca_base::json::Document;
use daca_model::ActorAddress;
use daca_model::backend::{Error, Registration, firing_data, with_once_mark};

/// The wait before a failed firing is retried.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(5);
/// The maximum number of retries of a periodic reminder's firing. Then it waits for its next time.
const MAX_RETRIES: u32 = 7;
/// The scheduler's default, a second apart. It is better than fewer retries.
const OF_SCHEDULER: u32 = 3;
/// The interval of a one-shot reminder that repeats until its turn is done.
pub(super) const ONCE_PERIOD: Duration = Duration::from_secs(10);

/// A timer that ends before it begins.
pub(super) const OVER: Registration = Registration {
    due: Duration::from_secs(3600),
    period: None,
    ttl: Some(Duration::ZERO),
    data: Bytes::new(),
};

pub(super) fn reminder_request(
    actor: &ActorAddress,
    name: &str,
    registration: &Registration,
) -> proto::RegisterActorReminderRequest {
    let Registration { due, period, ttl, data } = registration;
    proto::RegisterActorReminderRequest {
        actor_type: actor.agent_type.to_string(),
        actor_id: segment(&actor.id),
        name: segment(name),
        due_time: go_duration(*due),
        period: go_duration_or_empty(*period),
        data: data.to_vec(),
        ttl: go_duration_or_empty(*ttl),
        overwrite: Some(true),
        failure_policy: failure_policy(*period),
    }
}

/// A one-shot reminder as it is registered with a scheduler that goes by no `failure_policy`. By itself that one would drop
/// it after four tries in three seconds, also when no host was there to hear of them: a sidecar whose application is away
/// answers `FAILED` (`handleJob` in `pkg/runtime/scheduler/internal/cluster/streamer.go`), and `policyTryAgain` in
/// go-etcd-cron's `internal/counter/counter.go` ends the job. So it repeats until the commit of its turn removes it.
pub(super) fn until_done(registration: &Registration) -> Registration {
    Registration {
        period: Some(ONCE_PERIOD),
        data: with_once_mark(&registration.data),
        ..registration.clone()
    }
}

/// The retry policy of a firing whose turn fails. A one-shot reminder has no other chance, so it is retried until it
/// succeeds; a periodic one is retried until its next time. Dapr 1.16 ignores the policy.
fn failure_policy(period: Option<Duration>) -> Option<JobFailurePolicy> {
    let max_retries = period.map(|period| {
        let fit = period.as_secs() / RETRY_DELAY.as_secs();
        u32::try_from(fit).unwrap_or(MAX_RETRIES).min(MAX_RETRIES)
    });
    if max_retries.is_some_and(|retries| retries <= OF_SCHEDULER) {
        return None;
    }
    let interval =
        prost_types::Duration { seconds: RETRY_DELAY.as_secs().try_into().unwrap_or(i64::MAX), nanos: 0 };
    let constant = JobFailurePolicyConstant { interval: Some(interval), max_retries };
    Some(JobFailurePolicy { policy: Some(Policy::Constant(constant)) })
}

pub(super) fn timer_request(
    actor: &ActorAddress,
    name: &str,
    registration: &Registration,
) -> proto::RegisterActorTimerRequest {
    let Registration { due, period, ttl, data } = registration;
    proto::RegisterActorTimerRequest {
        actor_type: actor.agent_type.to_string(),
        actor_id: segment(&actor.id),
        name: segment(name),
        due_time: go_duration(*due),
        period: go_duration_or_empty(*period),
        callback: segment(name),
        data: data.to_vec(),
        ttl: go_duration_or_empty(*ttl),
    }
}

/// A duration in Go's format.
fn go_duration(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// The same for an optional one.
fn go_duration_or_empty(duration: Option<Duration>) -> String {
    duration.map(go_duration).unwrap_or_default()
}

/// A reminder from the sidecar's HTTP API (`GET /v1.0/actors/TYPE/ID/reminders/NAME`). A missing one is returned empty
/// (`Get` in `pkg/actors/internal/reminders/storage/scheduler/scheduler.go`).
pub fn shown_reminder(shown: &Document) -> Result<Option<Registration>, Error> {
    let text = |name: &str| -> Result<String, Error> {
        let Some(field) = shown.present_field(name) else { return Ok(String::new()) };
        field.text().ok_or_else(|| unreadable_time(&field.to_string()))
    };
    let ttl = text("ttl").unwrap_or_default();
    registration(&text("dueTime")?, &text("period")?, &ttl, shown.field("data").as_ref())
}

/// The end of a returned reminder, if any, in the sidecar's format: as `ttl` from Dapr 1.17 on, as `expirationTime`
/// before.
pub(super) fn end_of(shown: &Document) -> Option<String> {
    let text = |name| shown.present_field(name).and_then(|field| field.text());
    ["ttl", "expirationTime"].into_iter().filter_map(text).find(|text| !text.is_empty())
}

/// A registration from the times of a reminder in the sidecar's format; an empty one is absent. `None` if neither says
/// when it fires: there is no such reminder.
pub(super) fn registration(
    due: &str,
    period: &str,
    ttl: &str,
    data: Option<&Document>,
) -> Result<Option<Registration>, Error> {
    let time = |text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        // The scheduler puts `@every` before a period.
        let time = go_duration::parse(text.trim_start_matches("@every "));
        time.map(Some).ok_or_else(|| unreadable_time(text))
    };
    let (due, period) = (time(due)?, time(period)?);
    if due.is_none() && period.is_none() {
        return Ok(None);
    }
    // A point in time is not a duration: it is ignored.
    let ttl = time(ttl).unwrap_or_default();
    Ok(Some(Registration { due: due.unwrap_or_default(), period, ttl, data: firing_data(data) }))
}

fn unreadable_time(text: &str) -> Error {
    Error::Other(format!("the sidecar returned the time {text:?}, which cannot be parsed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_is_read_as_the_sidecar_shows_it() {
        let shown = |text: &'static str| shown_reminder(&Document::parse(&text.into()).expect("it is JSON"));
        let registration = shown(r#"{"dueTime":"250ms","period":"@every 5s","data":"aGk="}"#);
        let registration = registration.expect("its times are read").expect("it is there");
        assert_eq!(registration.due, Duration::from_millis(250));
        assert_eq!((registration.period, registration.ttl), (Some(Duration::from_secs(5)), None));
        for absent in ["null", "{}", r#"{"dueTime":"","period":null}"#] {
            assert!(shown(absent).expect("nothing is to be read").is_none(), "{absent}");
        }
        for wrong in [r#"{"dueTime":5}"#, r#"{"period":"@every 99999999999999999999h"}"#] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_firing_that_fails_is_tried_again_as_long_as_it_has_no_other_chance() {
        let retries = |period: Option<u64>| {
            let policy = failure_policy(period.map(Duration::from_secs))?.policy?;
            let Policy::Constant(constant) = policy else { return None };
            Some((constant.interval?.seconds, constant.max_retries))
        };
        assert_eq!(retries(None), Some((5, None)));
        assert_eq!(retries(Some(1)), None);
        assert_eq!(retries(Some(25)), Some((5, Some(5))));
        assert_eq!(retries(Some(u64::MAX)), Some((5, Some(7))));
    }
}
