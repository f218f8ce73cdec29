//! The conformance agents: one for each language and way to build it.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use daca_tests::{foreign_agent, target};

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
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A file of this folder.
    Source(&'static str),
    /// A component that cargo has built, in its folder.
    Built(&'static str),
    /// A component of another language, which may be left out.
    Foreign(&'static str),
}

/// All agents.
pub const AGENTS: &[Agent] = &[
    Agent {
        name: "rust",
        memory: "16MiB",
        place: Place::Built("wasm32-wasip2/guest/conformance_agent.wasm"),
    },
    Agent { name: "typescript-script", memory: "16MiB", place: Place::Source("agents/typescript/agent.ts") },
    Agent { name: "typescript", memory: "16MiB", place: Place::Foreign("conformance-typescript") },
    // Its engine collects garbage late.
    Agent {
        name: "typescript-starlingmonkey",
        memory: "32MiB",
        place: Place::Foreign("conformance-starlingmonkey"),
    },
    // Its components have 12 MiB of memory at first.
    Agent { name: "python", memory: "32MiB", place: Place::Foreign("conformance-python") },
    // A large payload is in its memory several times.
    Agent { name: "go", memory: "32MiB", place: Place::Foreign("conformance-go") },
    Agent { name: "c", memory: "16MiB", place: Place::Foreign("conformance-c") },
];

impl Agent {
    /// Its file. `None` if it is left out, which is said.
    pub fn file(&self) -> anyhow::Result<Option<PathBuf>> {
        let file = match self.place {
            Place::Source(name) => Path::new(env!("CARGO_MANIFEST_DIR")).join(name),
            Place::Built(name) => target().join(name),
            Place::Foreign(name) => return foreign_agent(name),
        };
        ensure!(file.is_file(), "{} is missing; build it: cargo xtask conformance", file.display());
        Ok(Some(file))
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
