//! An order, whose id is the actor's. It reserves its lines at the Stock actors, and undoes its steps if one is refused.
//!
//! A call to another actor takes effect at once, even if the turn that makes it fails later. So the order first records its
//! next step, and a reminder performs the step in a turn of its own. A failed step is repeated until it succeeds, and each
//! call in it can be repeated safely. So an order always reaches its end, even if the host is killed in the middle.

use std::collections::BTreeMap;
use std::time::Duration;

use daca_sdk::{Error, Failure, Schedule, actors, agent, config, identity, pubsub, reminders, state};
use serde::{Deserialize, Serialize};

const ORDER: &str = "order";
/// The reminder that performs the next step.
const STEP: &str = "step";
/// The reminder that cancels an order that nobody confirms.
const TIME_OUT: &str = "time-out";
/// The time that an order waits for its confirmation, unless the setting `confirm-within-seconds` says otherwise.
const CONFIRM_WITHIN: Duration = Duration::from_secs(15 * 60);

#[derive(Default)]
struct Order;

/// Quantities by article.
type Lines = BTreeMap<String, u64>;

#[derive(Serialize, Deserialize)]
struct Record {
    lines: Lines,
    #[serde(flatten)]
    status: Status,
}

/// The progress of an order.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", tag = "status")]
enum Status {
    /// The next step reserves the lines.
    Reserving,
    /// All lines are reserved. The order waits to be confirmed.
    Reserved,
    /// The next step takes the reserved quantities.
    Completing,
    Completed,
    /// The next step releases the reservations.
    Cancelling {
        reason: String,
    },
    Cancelled {
        reason: String,
    },
}

#[agent]
impl Order {
    /// Places the order. A repeated call returns the status of the existing order.
    pub fn place(&mut self, lines: Lines) -> Result<Status, Failure> {
        if lines.is_empty() {
            return Err(Failure::invalid("an order has at least one line"));
        }
        match find()? {
            None => go_on(Record { lines, status: Status::Reserving }),
            Some(record) if record.lines != lines => {
                Err(Failure::invalid("there is another order with this id"))
            }
            Some(record) => {
                restore_reminder(&record.status)?;
                Ok(record.status)
            }
        }
    }

    /// The status of the order.
    pub fn status(&self) -> Result<Status, Failure> {
        Ok(existing()?.status)
    }

    /// Confirms the order for the customer.
    pub fn confirm(&mut self) -> Result<Status, Failure> {
        let record = existing()?;
        match record.status {
            Status::Reserved => {
                reminders::unregister(TIME_OUT)?;
                go_on(Record { status: Status::Completing, ..record })
            }
            Status::Completing | Status::Completed => Ok(record.status),
            Status::Reserving => Err(Failure::invalid("the order is not reserved yet")),
            Status::Cancelling { reason } | Status::Cancelled { reason } => {
                Err(Failure::invalid(format!("the order is cancelled: {reason}")))
            }
        }
    }

    #[reminder]
    fn wake(&mut self, name: &str, _data: ()) -> Result<(), Failure> {
        // A reminder may fire although the turn that registered it was not kept.
        let Some(record) = find()? else { return Ok(()) };
        let next = match name {
            STEP => step(&record)?,
            TIME_OUT if record.status == Status::Reserved => {
                Status::Cancelling { reason: "it was not confirmed in time".to_owned() }
            }
            _ => return Ok(()),
        };
        if next != record.status {
            go_on(Record { status: next, ..record })?;
        }
        Ok(())
    }
}

/// Performs the step that the order's status requires, and returns the next status. If the step may succeed later, this is an
/// error, and the host lets the reminder fire again.
fn step(Record { lines, status }: &Record) -> Result<Status, Failure> {
    match status {
        Status::Reserving => match reserve(lines) {
            Ok(()) => Ok(Status::Reserved),
            Err(error) if is_final(&error) => Ok(Status::Cancelling { reason: error.to_string() }),
            Err(error) => Err(error.into()),
        },
        // All lines: a reservation may exist although its answer was lost.
        Status::Cancelling { reason } => {
            tell_all(lines, "Release")?;
            Ok(Status::Cancelled { reason: reason.clone() })
        }
        Status::Completing => {
            tell_all(lines, "Take")?;
            Ok(Status::Completed)
        }
        Status::Reserved | Status::Completed | Status::Cancelled { .. } => Ok(status.clone()),
    }
}

fn reserve(lines: &Lines) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Reserve<'a> {
        order: &'a str,
        quantity: u64,
    }
    let order = identity::actor_id();
    lines.iter().try_for_each(|(article, quantity)| {
        let reserve = Reserve { order: &order, quantity: *quantity };
        actors::invoke("Stock", article, "Reserve", &reserve)
    })
}

/// Calls a method of each article that takes the order's id.
fn tell_all(lines: &Lines, method: &str) -> Result<(), Error> {
    let order = identity::actor_id();
    lines.keys().try_for_each(|article| actors::invoke("Stock", article, method, &order))
}

/// Returns `true` if the same call would fail again.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Invalid(_) | Error::NotFound(_) | Error::Denied(_) | Error::TooLarge(_))
}

/// Saves the order's new status, publishes it, and registers the reminder for the next step: all of it, or nothing.
fn go_on(record: Record) -> Result<Status, Failure> {
    state::set(ORDER, &record)?;
    let Record { status, .. } = record;
    if let Some((name, due)) = reminder_of(&status)? {
        reminders::register(name, Schedule::after(due), &())?;
    }
    publish(&status)?;
    Ok(status)
}

/// Behind Dapr, reminders are not part of the state's transaction. Placing the order again restores a lost reminder.
fn restore_reminder(status: &Status) -> Result<(), Failure> {
    if let Some((name, due)) = reminder_of(status)?
        && reminders::get::<()>(name)?.is_none()
    {
        reminders::register(name, Schedule::after(due), &())?;
    }
    Ok(())
}

/// The reminder that an order waits for, and the time until it is due.
fn reminder_of(status: &Status) -> Result<Option<(&'static str, Duration)>, Failure> {
    Ok(match status {
        Status::Reserving | Status::Completing | Status::Cancelling { .. } => Some((STEP, Duration::ZERO)),
        Status::Reserved => Some((TIME_OUT, confirm_within()?)),
        Status::Completed | Status::Cancelled { .. } => None,
    })
}

fn publish(status: &Status) -> Result<(), Error> {
    #[derive(Serialize)]
    struct OrderChanged<'a> {
        order: &'a str,
        #[serde(flatten)]
        status: &'a Status,
    }
    let event = OrderChanged { order: &identity::actor_id(), status };
    pubsub::publish("pubsub", "orders", &event).map(drop)
}

fn find() -> Result<Option<Record>, Failure> {
    Ok(state::get(ORDER)?)
}

fn existing() -> Result<Record, Failure> {
    find()?.ok_or_else(|| Failure::not_found("there is no such order"))
}

fn confirm_within() -> Result<Duration, Failure> {
    let Some(setting) = config::get("confirm-within-seconds")? else { return Ok(CONFIRM_WITHIN) };
    let seconds = setting.parse::<u64>().map_err(|error| {
        Failure::failed(format!("the setting confirm-within-seconds is {setting:?}: {error}"))
    })?;
    Ok(Duration::from_secs(seconds))
}
