//! A script as the engine takes it.

use std::sync::Arc;

use daca_model::FileName;
use daca_script::Prepared;
use wasmtime::component::{ComponentType, Lower};

/// What stacks have in place of the file's name if nobody has given one.
const UNNAMED: &str = "script";

/// What the engine evaluates: the record of its import.
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Source {
    file: Arc<str>,
    body: Arc<str>,
    lines: Arc<[u32]>,
    further: Arc<[u32]>,
}

impl Source {
    pub(super) fn of(prepared: &Prepared, file: Option<&FileName>) -> Source {
        Source {
            file: file.map_or(UNNAMED, FileName::as_str).into(),
            body: prepared.body.as_str().into(),
            lines: prepared.lines.as_slice().into(),
            further: prepared.further.as_flattened().into(),
        }
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        (self.body.len() + size_of_val(&*self.lines) + size_of_val(&*self.further)) as u64
    }
}

/// A script of a version.
#[derive(Debug)]
pub struct Script {
    pub(super) source: Source,
    /// The name of its file, as stacks show it.
    pub file: Option<FileName>,
    /// The methods that callers reach.
    pub methods: Vec<String>,
    /// The SHA-256 of the engine, in hexadecimal.
    pub engine: String,
}
