//! `cargo xtask guests`: the components.

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;

/// Builds the components.
pub(crate) fn run() -> anyhow::Result<()> {
    steps::run(&[Step::toolchain(&[Part::WasmTarget]), chat_agent(), test_guests()]).map(drop)
}

/// The step that builds the ChatAgent.
pub(crate) fn chat_agent() -> Step {
    let cargo = Cargo::new("build -p chat-agent --target wasm32-wasip2 --profile guest");
    Step::cargo("ChatAgent", cargo)
}

/// The step that builds the guests of the tests.
pub(crate) fn test_guests() -> Step {
    let cargo = Cargo::new("build -p test-guests --examples --target wasm32-wasip2 --profile guest");
    Step::cargo("test guests", cargo)
}
