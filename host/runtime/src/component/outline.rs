//! The declarations of a component's file, read before it is compiled.
//!
//! Compiling is expensive, and the author of the file determines its cost. So everything that the sections show is
//! checked first: that it is a component, of this host's contract, with imports that the host offers, and of a size
//! that a compiler can handle. Types are left to wasmtime, which has to read them anyway.

use bytes::Bytes;
use wasmparser::{CanonicalFunction, ComponentTypeRef, FunctionBody, Parser, Payload, TableSectionReader};

use super::PACKAGE;
use super::absent::is_absent;
use super::declared_needs::NeedsReader;
use super::initial_memory::{DataReader, MappableData};
use super::limits::TABLE_ELEMENTS;
use super::refusal::{LoadError, Refusal, interrupted, malformed, needs_async, unknown_import};
use crate::imports;
use daca_base::ErrorCode;
use daca_base::digest::digest;
use daca_base::telemetry::printable;
use daca_model::MAX_COMPONENT;

/// The version of the contract in `wit/`.
const CONTRACT: &str = "0.1.0";

/// The maximum number of modules and components within one component. Python's has about 40.
const MAX_PARTS: u32 = 1_000;
/// The maximum number of functions of all modules. Python's has about 30,000.
const MAX_FUNCTIONS: u32 = 500_000;
/// The maximum number of the component's own imports and exports. Each takes ten times its size in the file in memory.
const MAX_NAMES: usize = 10_000;
/// The maximum size of one function in bytes. The largest known ones are interpreters' loops, of about 100 KB.
const MAX_FUNCTION: usize = 1024 * 1024;
/// The maximum number of local variables of one function: register allocation takes more than proportionally long.
const MAX_LOCALS: u32 = 20_000;

/// The imports, exports and needs of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The initial size of all memories of an instance in bytes, as far as the file shows it.
    pub memory: u64,
    /// The core instances of an instance, as far as the file shows them.
    pub core_instances: usize,
    /// It has resources of its own, to which it can make handles.
    pub(super) makes_resources: bool,
    /// The data that instances may map.
    pub(super) data: MappableData,
}

impl Outline {
    /// Reads and checks a file, on a thread that may block: a megabyte takes some milliseconds. `name` is the origin of
    /// the bytes in errors.
    pub async fn read(name: &str, wasm: Bytes) -> Result<Outline, LoadError> {
        let read = tokio::task::spawn_blocking(move || Self::of(&wasm)).await;
        let outline = read.unwrap_or_else(|_ended| Err(interrupted()));
        outline.map_err(|refusal| LoadError::new(name.to_owned(), refusal))
    }

    fn of(wasm: &[u8]) -> Result<Outline, Refusal> {
        let read = OutlineReader::read(wasm)?;
        check_contract(&read.imports, &read.exports)?;
        check_offered(&read.imports)?;
        Ok(read.into_outline(wasm))
    }

    /// The outline of the host's own engine, which also imports a script.
    pub(super) fn of_engine(wasm: &[u8]) -> Result<Outline, Refusal> {
        let read = OutlineReader::read(wasm)?;
        check_contract(&read.imports, &read.exports)?;
        Ok(read.into_outline(wasm))
    }
}

/// Why reading stops early.
enum Stop {
    Malformed(wasmparser::BinaryReaderError),
    TooMuch(String),
}

impl From<wasmparser::BinaryReaderError> for Stop {
    fn from(error: wasmparser::BinaryReaderError) -> Stop {
        Stop::Malformed(error)
    }
}

/// The declarations that were read so far.
#[derive(Default)]
struct OutlineReader {
    /// The number of components and modules around the current section.
    depth: u32,
    parts: u32,
    functions: u32,
    /// With a flag for imports of mere types, which are no interfaces.
    imports: Vec<(String, bool)>,
    exports: Vec<String>,
    makes_resources: bool,
    needs: NeedsReader,
    data: DataReader,
}

impl OutlineReader {
    fn read(wasm: &[u8]) -> Result<OutlineReader, Refusal> {
        if wasm.len() as u64 > MAX_COMPONENT {
            return Err(too_large(wasm.len() as u64));
        }
        check_header(wasm)?;
        let mut reader = OutlineReader::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(Stop::from).and_then(|payload| reader.take(payload)) {
                Ok(()) => {}
                Err(Stop::Malformed(error)) => return Err(malformed(&error.to_string())),
                Err(Stop::TooMuch(what)) => return Err(too_much(what)),
            }
        }
        Ok(reader)
    }

    fn into_outline(self, wasm: &[u8]) -> Outline {
        let needs = self.needs.least();
        Outline {
            digest: digest(wasm),
            bytes: wasm.len() as u64,
            imports: self.imports.into_iter().map(|(name, _)| name).collect(),
            exports: self.exports,
            memory: needs.memory,
            core_instances: needs.core_instances,
            makes_resources: self.makes_resources,
            data: self.data.found,
        }
    }

    fn take(&mut self, payload: Payload<'_>) -> Result<(), Stop> {
        self.needs.take(&payload)?;
        self.data.take(&payload)?;
        match payload {
            Payload::Version { .. } => {
                self.depth += 1;
                self.parts += 1;
                bounded(self.parts, MAX_PARTS, "modules and components")
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            // Those of the component itself; those of nested components do not matter.
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section {
                    let import = import?;
                    let is_type = matches!(import.ty, ComponentTypeRef::Type(_));
                    self.imports.push((import.name.name.to_owned(), is_type));
                    self.check_names()?;
                }
                Ok(())
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section {
                    self.exports.push(export?.name.name.to_owned());
                    self.check_names()?;
                }
                Ok(())
            }
            // Wherever it is nested. What is wrong with the section is left to the compilation.
            Payload::ComponentCanonicalSection(section) => {
                let is_new =
                    |function: CanonicalFunction| matches!(function, CanonicalFunction::ResourceNew { .. });
                self.makes_resources |= section.into_iter().any(|function| function.is_ok_and(is_new));
                Ok(())
            }
            Payload::TableSection(section) => tables(section),
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(count);
                bounded(self.functions, MAX_FUNCTIONS, "functions")
            }
            Payload::CodeSectionEntry(body) => function(&body),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), Stop> {
        let names = self.imports.len() + self.exports.len();
        match names > MAX_NAMES {
            true => Err(Stop::TooMuch(format!("it has more than {MAX_NAMES} imports and exports"))),
            false => Ok(()),
        }
    }
}

/// The initial size alone: a table that grows later is refused then.
fn tables(section: TableSectionReader<'_>) -> Result<(), Stop> {
    for table in section {
        let elements = table?.ty.initial;
        if elements > TABLE_ELEMENTS as u64 {
            return Err(Stop::TooMuch(format!(
                "one of its tables begins with {elements} elements; the maximum is {TABLE_ELEMENTS}"
            )));
        }
    }
    Ok(())
}

fn function(body: &FunctionBody<'_>) -> Result<(), Stop> {
    let bytes = body.range().len();
    if bytes > MAX_FUNCTION {
        return Err(Stop::TooMuch(format!(
            "one of its functions has {bytes} bytes; the maximum is {MAX_FUNCTION}"
        )));
    }
    let mut locals = 0_u32;
    for group in body.get_locals_reader()? {
        let (count, _type) = group?;
        locals = locals.saturating_add(count);
    }
    if locals > MAX_LOCALS {
        return Err(Stop::TooMuch(format!(
            "one of its functions has {locals} local variables; the maximum is {MAX_LOCALS}"
        )));
    }
    Ok(())
}

fn bounded(number: u32, most: u32, what: &str) -> Result<(), Stop> {
    match number > most {
        true => Err(Stop::TooMuch(format!("it has {number} {what}; the maximum is {most}"))),
        false => Ok(()),
    }
}

/// More than a compiler can handle, or than a host should hold in memory for a check.
fn too_much(message: String) -> Refusal {
    (ErrorCode::ComponentTooComplex, message, "build it with optimisation, or split generated functions")
}

fn too_large(bytes: u64) -> Refusal {
    let message = format!("it has {bytes} bytes; the maximum is {MAX_COMPONENT}");
    (ErrorCode::ComponentTooLarge, message, "build it with optimisation and without debug information")
}

/// Detects the usual mistakes before the parser reports something general.
pub fn check_header(wasm: &[u8]) -> Result<(), Refusal> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    if wasm.starts_with(COMPONENT) {
        return Ok(());
    }
    if wasm.starts_with(MODULE) {
        let message = "it is a core module, not a component".to_owned();
        return Err((
            ErrorCode::ComponentIsModule,
            message,
            "build a component: with Rust for the target wasm32-wasip2, with other languages by the tool of their SDK (`wasm-tools component new` wraps a module)",
        ));
    }
    let message = match wasm.len() {
        0 => "it is empty".to_owned(),
        _ if daca_script::is_unreadable(wasm) => {
            "it is a script that is not UTF-8, or that has a NUL".to_owned()
        }
        _ => "it is neither a WebAssembly component nor a script that imports \"@daca/sdk\"".to_owned(),
    };
    Err((ErrorCode::ComponentInvalid, message, "name the .wasm file that the build produced, or a script"))
}

/// The name of an interface of the contract.
pub(super) fn interface(name: &str) -> String {
    format!("{PACKAGE}{name}@{CONTRACT}")
}

/// A guest of another version of the contract may look right and behave wrong, so it is refused explicitly.
fn check_contract(imports: &[(String, bool)], exports: &[String]) -> Result<(), Refusal> {
    for name in imports.iter().map(|(name, _)| name).chain(exports) {
        let Some(version) = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')).map(|(_, v)| v)
        else {
            continue;
        };
        if version != CONTRACT {
            let message = format!(
                "it was built for version {} of the contract, and this host uses {CONTRACT} ({name:?})",
                printable(version)
            );
            return Err((
                ErrorCode::ComponentContractVersion,
                message,
                "build it against this host's wit/ or SDK",
            ));
        }
    }
    let actor = interface("actor");
    if !exports.contains(&actor) {
        let message = format!("it does not export {actor}, the one interface that every agent has");
        return Err((
            ErrorCode::ComponentLacksExport,
            message,
            "build it with the SDK of its language, or export the interface as wit/agent.wit declares it",
        ));
    }
    Ok(())
}

fn check_offered(imports: &[(String, bool)]) -> Result<(), Refusal> {
    let interfaces = || imports.iter().filter(|(_, is_type)| !is_type).map(|(name, _)| name);
    // WASI 0.3 is asynchronous. Its interfaces have the names of 0.2.
    let is_async = |name: &str| name.starts_with("wasi:") && name.contains("@0.3.");
    if let Some(name) = interfaces().find(|name| is_async(name)) {
        return Err(needs_async(&format!("it imports {name:?}")));
    }
    match interfaces().find(|name| !imports::offers(name) && !is_absent(name)) {
        Some(name) => Err(unknown_import(&format!("{name:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_makes_resources_is_known_wherever_it_does() {
        let resource = "(type $r (resource (rep i32)))";
        let made = format!("{resource} (core func (canon resource.new $r))");
        for (text, makes_resources) in [
            (format!("(component {resource} (core func (canon resource.drop $r)))"), false),
            (format!("(component {made})"), true),
            (format!("(component (component (component {made})))"), true),
        ] {
            let wasm = wat::parse_str(&text).expect("a component in text form");
            let read = OutlineReader::read(&wasm).ok();
            assert_eq!(read.map(|read| read.makes_resources), Some(makes_resources), "{text}");
        }
    }

    /// It becomes a part of a line of the log.
    #[test]
    fn a_name_in_a_refusal_is_one_line() {
        let forged = "x\n2026-01-01T00:00:00Z  INFO daca: forged";
        for (import, code) in [
            (format!("daca:agent/{forged}@9"), ErrorCode::ComponentContractVersion),
            (format!("daca:agent/x@9{forged}"), ErrorCode::ComponentContractVersion),
            (format!("wasi:{forged}@0.3.0"), ErrorCode::ComponentNeedsAsync),
            (format!("other:{forged}"), ErrorCode::ComponentUnknownImport),
        ] {
            let imports = [(import, false)];
            let refused =
                check_contract(&imports, &[interface("actor")]).and_then(|()| check_offered(&imports));
            let (found, message, _) = refused.expect_err("it is refused");
            assert_eq!(found, code, "{message}");
            assert!(!message.contains('\n') && message.contains(r"\n2026"), "{message}");
        }
    }
}
