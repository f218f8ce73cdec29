//! `cargo xtask guests`: the components.

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;

/// Builds the components.
pub(crate) fn run() -> anyhow::Result<()> {
    steps::run(&[Step::toolchain(&[Part::WasmTarget]), chat_agent(), examples(), test_guests()]).map(drop)
}

/// The step that builds the ChatAgent.
pub(crate) fn chat_agent() -> Step {
    let cargo = Cargo::new("build -p chat-agent --target wasm32-wasip2 --profile guest");
    Step::cargo("ChatAgent", cargo)
}

/// The agents of `examples/`.
pub(crate) const EXAMPLES: [&str; 4] = ["counter", "order", "stock", "weather"];

/// The step that builds the examples.
pub(crate) fn examples() -> Step {
    let packages = EXAMPLES.map(|package| format!("-p {package}")).join(" ");
    let cargo = Cargo::new(&format!("build {packages} --target wasm32-wasip2 --profile guest"));
    Step::cargo("examples", cargo)
}

/// The step that builds the guests of the tests.
pub(crate) fn test_guests() -> Step {
    let cargo = Cargo::new("build -p test-guests --examples --target wasm32-wasip2 --profile guest");
    Step::cargo("test guests", cargo)
}
