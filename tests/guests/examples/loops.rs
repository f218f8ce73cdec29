//! Never returns. The host must end the turn at its time limit with a status 500 (or 504), lose nothing else, keep
//! serving other actors meanwhile, and serve this actor's next turn with a new instance.

use std::hint::black_box;

use daca_sdk::{Failure, agent, config, state};

#[derive(Default)]
struct Loops;

#[agent]
impl Loops {
    /// With the setting `loop-in-activate`, no turn ever begins.
    #[activate]
    fn activate(&mut self) -> Result<(), Failure> {
        if config::get("loop-in-activate")?.is_some() { spin() } else { Ok(()) }
    }

    /// With the setting `loop-in-deactivate`, it does not want to go.
    #[deactivate]
    fn deactivate(&mut self) -> Result<(), Failure> {
        if config::get("loop-in-deactivate")?.is_some() { spin() } else { Ok(()) }
    }

    /// Writes `looped`, which must not last, and loops in its own code.
    #[method(name = "Loop")]
    pub fn spin(&mut self) -> Result<(), Failure> {
        state::set("looped", &true)?;
        spin()
    }

    /// Loops over calls into the host.
    pub fn loop_over_host(&mut self) -> Result<(), Failure> {
        loop {
            state::get_bytes("looped")?;
        }
    }

    /// Answers whether something was kept under `looped`.
    pub fn fine(&self) -> Result<Option<bool>, Failure> {
        Ok(state::get("looped")?)
    }
}

fn spin<T>() -> T {
    loop {
        black_box(());
    }
}
