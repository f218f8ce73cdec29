//! An order, whose id is the actor's: it reserves its lines at the Stock actors, and takes its steps back when one is refused.
//!
//! A call of another actor acts at once, whatever becomes of the turn that makes it. So the order first writes down what it is
//! going to do, and a reminder makes the step in a turn of its own. A step that fails is made again until it succeeds, and
//! every call that it makes may be repeated. So an order always comes to an end, also when the host is killed in the middle.

use std::collections::BTreeMap;
use std::time::Duration;

use daca_sdk::{Error, Failure, Schedule, actors, agent, config, identity, pubsub, reminders, state};
use serde::{Deserialize, Serialize};

const ORDER: &str = "order";
/// The reminder that makes the next step.
const STEP: &str = "step";
/// The reminder that cancels an order which nobody confirms.
const TIME_OUT: &str = "time-out";
/// How long an order waits to be confirmed, unless the setting `confirm-within-seconds` says otherwise.
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

/// Where an order is.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", tag = "status")]
enum Status {
    /// The next step reserves the lines.
    Reserving,
    /// Everything is reserved, and waits to be confirmed.
    Reserved,
    /// The next step takes what was reserved.
    Completing,
    Completed,
    /// The next step takes the reservations back.
    Cancelling {
        reason: String,
    },
    Cancelled {
        reason: String,
    },
}

#[agent]
impl Order {
    /// Places the order. It may be repeated: an order that is there already answers where it is.
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

    /// Where the order is.
    pub fn status(&self) -> Result<Status, Failure> {
        Ok(existing()?.status)
    }

    /// The customer wants it.
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

/// Makes the step that the order's status asks for, and answers the next status. What may succeed later is an error: the host
/// lets the reminder fire again.
fn step(Record { lines, status }: &Record) -> Result<Status, Failure> {
    match status {
        Status::Reserving => match reserve(lines) {
            Ok(()) => Ok(Status::Reserved),
            Err(error) if is_final(&error) => Ok(Status::Cancelling { reason: error.to_string() }),
            Err(error) => Err(error.into()),
        },
        // Of all lines: a reservation whose answer was lost may have been made.
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

/// Would the same call fail again?
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Invalid(_) | Error::NotFound(_) | Error::Denied(_) | Error::TooLarge(_))
}

/// Writes down where the order is now, says so, and sees to what comes next: all of it, or nothing.
fn go_on(record: Record) -> Result<Status, Failure> {
    state::set(ORDER, &record)?;
    let Record { status, .. } = record;
    if let Some((name, due)) = reminder_of(&status)? {
        reminders::register(name, Schedule::after(due), &())?;
    }
    publish(&status)?;
    Ok(status)
}

/// Behind Dapr, reminders do not lie in the state's transaction. One that is lost comes back when the order is placed again.
fn restore_reminder(status: &Status) -> Result<(), Failure> {
    if let Some((name, due)) = reminder_of(status)?
        && reminders::get::<()>(name)?.is_none()
    {
        reminders::register(name, Schedule::after(due), &())?;
    }
    Ok(())
}

/// The reminder that an order waits for, and how long.
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
