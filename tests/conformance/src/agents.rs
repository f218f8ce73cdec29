//! The conformance agents: one for each language and way to build it.

use std::path::{Path, PathBuf};

use daca_tests::target;

/// The label of the agents' schema. It is too long for a compiler to write it by instructions rather than as data.
const LABEL: &[u8] = b"conformance-agents-schema-number-1";
/// The label of the next version. It has the same length, so it can take the other's place in a component.
const NEXT_LABEL: &[u8] = b"conformance-agents-schema-number-2";

/// An agent that the cases are tried with.
#[derive(Debug)]
pub struct Agent {
    /// The language and the way, as the table shows it.
    pub name: &'static str,
    /// What one instance may have.
    pub memory: &'static str,
    /// The command that builds it.
    pub build: &'static str,
    /// It can always be tried, because nothing but this project is needed for it.
    pub is_required: bool,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A file of this folder.
    Source(&'static str),
    /// A file that was built, in cargo's folder.
    Built(&'static str),
}

/// All agents.
pub const AGENTS: &[Agent] = &[
    Agent {
        name: "rust",
        memory: "16MiB",
        build: "cargo build -p conformance-agent --target wasm32-wasip2 --profile guest",
        is_required: true,
        place: Place::Built("wasm32-wasip2/guest/conformance_agent.wasm"),
    },
    Agent {
        name: "typescript-script",
        memory: "16MiB",
        build: "nothing: it is a script",
        is_required: true,
        place: Place::Source("agents/typescript/agent.ts"),
    },
    Agent {
        name: "typescript",
        memory: "16MiB",
        build: "npx daca-js build tests/conformance/agents/typescript/agent.ts -o target/conformance/typescript.wasm",
        is_required: false,
        place: Place::Built("conformance/typescript.wasm"),
    },
];

impl Agent {
    /// Its file, whether it is there or not.
    pub fn file(&self) -> PathBuf {
        match self.place {
            Place::Source(name) => Path::new(env!("CARGO_MANIFEST_DIR")).join(name),
            Place::Built(name) => target().join(name),
        }
    }
}

/// The same agent with the next label of its schema. `None` if the bytes do not have the label.
pub(crate) fn relabelled(component: &[u8]) -> Option<Vec<u8>> {
    let mut next = component.to_vec();
    let places = component.windows(LABEL.len()).enumerate().filter(|(_, window)| *window == LABEL);
    let places = places.map(|(place, _)| place).collect::<Vec<_>>();
    for place in &places {
        next[*place..*place + LABEL.len()].copy_from_slice(NEXT_LABEL);
    }
    (!places.is_empty()).then_some(next)
}
