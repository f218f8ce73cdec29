//! Ends its process, as if it had one. The host must fail that turn with a status 500, go on itself, and serve the
//! actor's next turn with a new instance.

use daca_sdk::{Failure, agent, state};

#[derive(Default)]
struct Exits;

#[agent]
impl Exits {
    /// Writes `exited`, which must not last, and exits with the code.
    pub fn exit(&mut self, code: i32) -> Result<(), Failure> {
        state::set("exited", &code)?;
        std::process::exit(code)
    }

    /// Answers what was kept under `exited`.
    pub fn fine(&self) -> Result<Option<i32>, Failure> {
        Ok(state::get("exited")?)
    }
}
