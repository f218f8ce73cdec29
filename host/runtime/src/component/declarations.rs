//! Checks that the host offers a component's imports, with their versions and types, before the component is compiled.
//!
//! Toolchains put the types and imports first, then the modules with their code. A component of the first part alone
//! compiles in no time, and the linker reports the same errors for it as for the whole. Imports that come later are
//! checked after the compilation.

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use super::Engine;
use super::refusal::{Refusal, malformed, root_cause, too_much, unknown_import};

/// The maximum size of the first part in bytes. Python's has about 40 KB. It is parsed in this process, and each of its
/// names takes many times its size in memory.
const MAX_BYTES: usize = 1024 * 1024;

/// Blocks, for a millisecond with known components.
pub(super) fn check_imports(engine: &Engine, wasm: &[u8]) -> Result<(), Refusal> {
    let declarations = &wasm[..end_of_declarations(wasm)?];
    if declarations.len() > MAX_BYTES {
        let bytes = declarations.len();
        return Err(too_much(format!(
            "its types and imports have {bytes} bytes; the maximum is {MAX_BYTES}"
        )));
    }
    let component =
        Component::new(&engine.wasmtime, declarations).map_err(|error| malformed(&root_cause(&error)))?;
    match engine.linker.instantiate_pre(&component) {
        Ok(_pre) => Ok(()),
        Err(error) => Err(unknown_import(&root_cause(&error))),
    }
}

/// The start of the first section that has neither types nor imports nor aliases.
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
