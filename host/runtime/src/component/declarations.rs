//! Checks that the host offers a component's imports, with their versions and types, before the component is compiled.
//!
//! Toolchains put the types and imports first, then the modules with their code. A component of the first part alone
//! compiles in no time, and the linker reports the same errors for it as for the whole. Imports that come later are
//! checked after the compilation.
//!
//! A few bytes of types can take gigabytes and any depth of the stack. So the check runs where components are compiled: in
//! a process of its own, which has limits.

use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker};

use super::compiler::child::{self, CompilerArguments};
use super::refusal::root_cause;
use super::{InstanceState, absent, script_engine};
use crate::imports;

/// Runs the compiler process: checks and compiles the component on standard input, and writes the code to standard output.
pub fn run_compiler(arguments: &CompilerArguments) -> Result<(), child::Error> {
    child::run(arguments, unknown_import)
}

/// The import that this host does not offer, if there is one. Everything else that is wrong with the component is left to the
/// compilation, which says it of the whole.
fn unknown_import(engine: &wasmtime::Engine, wasm: &[u8]) -> Option<String> {
    let mut linker = Linker::<InstanceState>::new(engine);
    imports::add_to_linker(&mut linker, InstanceState::imports).ok()?;
    script_engine::add_to_linker(&mut linker).ok()?;
    let component = Component::new(engine, &wasm[..end_of_declarations(wasm)?]).ok()?;
    absent::instantiate_pre(&linker, &component).err().map(|error| root_cause(&error))
}

/// The start of the first section that has neither types nor imports nor aliases.
fn end_of_declarations(wasm: &[u8]) -> Option<usize> {
    let mut end = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        end = match payload.ok()? {
            Payload::Version { range, .. } => range.end,
            Payload::ComponentTypeSection(section) => section.range().end,
            Payload::CoreTypeSection(section) => section.range().end,
            Payload::ComponentImportSection(section) => section.range().end,
            Payload::ComponentAliasSection(section) => section.range().end,
            Payload::CustomSection(section) => section.range().end,
            _ => break,
        };
    }
    Some(end)
}
