//! Whether the host offers what a component imports, with its version and types, found out before the component is compiled.
//!
//! What makes components puts the types and imports first, then the modules with their code. A component of the first part alone
//! is compiled in no time, and the linker says of it what it would say of the whole. Imports that come later are looked at when
//! everything is compiled.

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use super::Engine;
use super::refusal::{Refusal, malformed, root_cause, unknown_import};

/// Blocks for a part of a millisecond.
pub(super) fn check_imports(engine: &Engine, wasm: &[u8]) -> Result<(), Refusal> {
    let declarations = &wasm[..end_of_declarations(wasm)?];
    let component =
        Component::new(&engine.wasmtime, declarations).map_err(|error| malformed(&root_cause(&error)))?;
    match engine.linker.instantiate_pre(&component) {
        Ok(_pre) => Ok(()),
        Err(error) => Err(unknown_import(&root_cause(&error))),
    }
}

/// Where the first section begins that is neither of types nor of imports nor of aliases.
fn end_of_declarations(wasm: &[u8]) -> Result<usize, Refusal> {
    let mut end = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        end = match payload.map_err(|error| malformed(&error.to_string()))? {
            Payload::Version { range, .. } => range.end,
            Payload::ComponentTypeSection(section) => section.range().end,
            Payload::CoreTypeSection(section) => section.range().end,
            Payload::ComponentImportSection(section) => section.range().end,
            Payload::ComponentAliasSection(section) => section.range().end,
            Payload::CustomSection(section) => section.range().end,
            _ => break,
        };
    }
    Ok(end)
}
