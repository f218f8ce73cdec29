//! The least that a guest can be: the export `actor` and one method. The host must serve it as it does any other.

use daca_sdk::{Failure, agent};

#[derive(Default)]
struct Plain;

#[agent]
impl Plain {
    /// Greets.
    pub fn hello(&self, name: String) -> Result<String, Failure> {
        Ok(format!("Hello, {name}"))
    }
}
