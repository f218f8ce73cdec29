//! A counter that starts again from zero every day.
//!
//! A reminder resets it, because a reminder survives deactivation and restarts. A timer would not work: it ends with
//! the activation, so a counter that nobody calls for a while would never be reset.

use std::time::Duration;

use daca_sdk::{Failure, Schedule, agent, config, log, reminders, state};

const SUM: &str = "sum";
const RESET: &str = "reset";
/// The time between two resets, unless the setting `reset-every-seconds` says otherwise.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
struct Counter;

#[agent]
impl Counter {
    /// Adds to the sum and returns it.
    pub fn add(&mut self, amount: u64) -> Result<u64, Failure> {
        let sum = current()?.checked_add(amount);
        let sum = sum.ok_or_else(|| Failure::invalid("the sum would be too large"))?;
        state::set(SUM, &sum)?;
        if reminders::get::<()>(RESET)?.is_none() {
            let period = period()?;
            reminders::register(RESET, Schedule::after(period).every(period), &())?;
        }
        Ok(sum)
    }

    /// The sum.
    pub fn value(&self) -> Result<u64, Failure> {
        current()
    }

    /// Resets the sum. If nobody has used the counter since the last reset, the reminder ends.
    #[reminder]
    fn reset(&mut self, name: &str, _data: ()) -> Result<(), Failure> {
        match state::get::<u64>(SUM)? {
            Some(sum) => {
                log::info!("reset from {sum}");
                state::delete(SUM)?;
            }
            None => reminders::unregister(name)?,
        }
        Ok(())
    }
}

fn current() -> Result<u64, Failure> {
    Ok(state::get(SUM)?.unwrap_or(0))
}

fn period() -> Result<Duration, Failure> {
    let Some(setting) = config::get("reset-every-seconds")? else { return Ok(DAY) };
    match setting.parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::failed(format!(
            "the setting reset-every-seconds is not a number of seconds: {setting:?}"
        ))),
    }
}
