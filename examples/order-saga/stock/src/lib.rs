//! The stock of one article, whose id is the actor's. Orders reserve a quantity, and then take or release it.
//!
//! Each call names the order and can be repeated safely, so a caller that does not know whether a call arrived makes it again.
//! The outcome of an order is remembered, so that a reservation that arrives after its own release is refused, and no stock is
//! held forever.

use std::time::Duration;

use daca_sdk::{Failure, agent, state};
use serde::{Deserialize, Serialize};

const AVAILABLE: &str = "available";
/// How long the outcome of a reservation is remembered: longer than anybody repeats a call.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Default)]
struct Stock;

#[derive(Deserialize)]
struct Reserve {
    order: String,
    quantity: u64,
}

/// The state of an order here.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Reserved(u64),
    Taken,
    Released,
}

#[agent]
impl Stock {
    /// Adds to the available quantity, and returns it.
    pub fn supply(&mut self, quantity: u64) -> Result<u64, Failure> {
        let sum = available()?.checked_add(quantity);
        let sum = sum.ok_or_else(|| Failure::invalid("there would be too many"))?;
        state::set(AVAILABLE, &sum)?;
        Ok(sum)
    }

    /// The available quantity.
    pub fn available(&self) -> Result<u64, Failure> {
        available()
    }

    /// Reserves a quantity for an order.
    pub fn reserve(&mut self, Reserve { order, quantity }: Reserve) -> Result<(), Failure> {
        match entry(&order)? {
            Some(Entry::Reserved(reserved)) if reserved == quantity => return Ok(()),
            Some(_) => return Err(Failure::invalid(format!("the order {order} was here before"))),
            None => {}
        }
        let available = available()?;
        let Some(left) = available.checked_sub(quantity) else {
            return Err(Failure::invalid(format!("{available} are left, and {quantity} are wanted")));
        };
        state::set(AVAILABLE, &left)?;
        Ok(state::set(&key(&order), &Entry::Reserved(quantity))?)
    }

    /// Takes the order's reservation out of the stock.
    pub fn take(&mut self, order: String) -> Result<(), Failure> {
        match entry(&order)? {
            Some(Entry::Reserved(_)) => end(&order, &Entry::Taken),
            Some(Entry::Taken) => Ok(()),
            _ => Err(Failure::invalid(format!("nothing is reserved for the order {order}"))),
        }
    }

    /// Releases the order's reservation, if there is one, and refuses any later one.
    pub fn release(&mut self, order: String) -> Result<(), Failure> {
        match entry(&order)? {
            Some(Entry::Reserved(quantity)) => {
                self.supply(quantity)?;
                end(&order, &Entry::Released)
            }
            None => end(&order, &Entry::Released),
            Some(Entry::Released) => Ok(()),
            Some(Entry::Taken) => Err(Failure::invalid(format!("the order {order} has taken it already"))),
        }
    }
}

fn available() -> Result<u64, Failure> {
    Ok(state::get(AVAILABLE)?.unwrap_or(0))
}

fn key(order: &str) -> String {
    format!("order-{order}")
}

fn entry(order: &str) -> Result<Option<Entry>, Failure> {
    Ok(state::get(&key(order))?)
}

/// Remembers the outcome of a reservation for a while.
fn end(order: &str, entry: &Entry) -> Result<(), Failure> {
    Ok(state::set_with_ttl(&key(order), entry, REMEMBERED)?)
}
