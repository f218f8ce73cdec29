//! The memory with which each instance of a component begins, read from the declarations of its file.
//!
//! It is a lower bound: a module or component that comes from elsewhere, as an import or as the export of an instance,
//! counts for nothing.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding, Instance,
    MemoryType, Payload,
};

/// The entries of one index space that are remembered. Those of real components have some dozens.
const MAX_ENTRIES: usize = 1_000;

/// Adds up the memories while a file is read from its beginning.
#[derive(Default)]
pub(super) struct Memories {
    /// The modules and components around the current section, the outermost first.
    open: Vec<Scope>,
    /// Bytes of the largest memory that is declared anywhere.
    largest: u64,
    /// Bytes of an instance of the outermost component, once it was read.
    whole: u64,
}

/// A module or component, as far as it was read. All sizes are in bytes; 0 is unknown.
#[derive(Default)]
struct Scope {
    is_module: bool,
    /// The memories of one instance.
    memory: u64,
    /// The memory of an instance of each module that it knows, by index.
    modules: Vec<u64>,
    /// The same for components.
    components: Vec<u64>,
}

impl Memories {
    /// Reads the next part of the file.
    pub(super) fn take(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.open.push(Scope { is_module: *encoding == Encoding::Module, ..Scope::default() });
            }
            Payload::End(_) => self.close(),
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.alias(&alias?);
                }
            }
            _ => {
                if let Some(scope) = self.open.last_mut() {
                    self.largest = self.largest.max(scope.take(payload)?);
                }
            }
        }
        Ok(())
    }

    /// The bytes without which there is no instance. A module that is not instantiated counts, too: the engine has to
    /// have a place for its memory.
    pub(super) fn least(&self) -> u64 {
        self.whole.max(self.largest)
    }

    /// At the end of a module or component, which its parent then knows.
    fn close(&mut self) {
        let Some(Scope { is_module, memory, .. }) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) if is_module => add(&mut parent.modules, memory),
            Some(parent) => add(&mut parent.components, memory),
            None => self.whole = memory,
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        let (kind, memory) = match *alias {
            ComponentAlias::InstanceExport { kind, .. } => (kind, 0),
            ComponentAlias::CoreInstanceExport { .. } => return,
            ComponentAlias::Outer { kind, count, index } => {
                let Some(scope) = self.open.iter().rev().nth(count as usize) else { return };
                match kind {
                    ComponentOuterAliasKind::CoreModule => {
                        (ComponentExternalKind::Module, entry(&scope.modules, index))
                    }
                    ComponentOuterAliasKind::Component => {
                        (ComponentExternalKind::Component, entry(&scope.components, index))
                    }
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return,
                }
            }
        };
        if let Some(scope) = self.open.last_mut() {
            scope.know(kind, memory);
        }
    }
}

impl Scope {
    /// Returns the bytes of the largest memory that the section declares.
    fn take(&mut self, payload: &Payload<'_>) -> wasmparser::Result<u64> {
        let mut largest = 0;
        match payload {
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let bytes = initial(&memory?);
                    self.memory = self.memory.saturating_add(bytes);
                    largest = largest.max(bytes);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.memory = self.memory.saturating_add(entry(&self.modules, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.memory = self.memory.saturating_add(entry(&self.components, component_index));
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.know(import?.ty.kind(), 0);
                }
            }
            // An export is a further entry of the index space.
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    let entries = match export.kind {
                        ComponentExternalKind::Module => &self.modules,
                        _ => &self.components,
                    };
                    let memory = entry(entries, export.index);
                    self.know(export.kind, memory);
                }
            }
            _ => {}
        }
        Ok(largest)
    }

    /// Adds an entry, if it is one of a module or component.
    fn know(&mut self, kind: ComponentExternalKind, memory: u64) {
        match kind {
            ComponentExternalKind::Module => add(&mut self.modules, memory),
            ComponentExternalKind::Component => add(&mut self.components, memory),
            _ => {}
        }
    }
}

/// The initial size of a memory in bytes.
fn initial(memory: &MemoryType) -> u64 {
    let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
    memory.initial.saturating_mul(page)
}

/// Entries beyond the bound are unknown.
fn add(entries: &mut Vec<u64>, memory: u64) {
    if entries.len() < MAX_ENTRIES {
        entries.push(memory);
    }
}

fn entry(entries: &[u64], index: u32) -> u64 {
    entries.get(index as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    /// The initial memory of a component in pages of 64 KiB.
    fn pages(inside: &str) -> u64 {
        let wasm = wat::parse_str(format!("(component $whole {inside})")).expect("a component");
        let mut memories = Memories::default();
        for payload in Parser::new(0).parse_all(&wasm) {
            memories.take(&payload.expect("a section")).expect("its content");
        }
        memories.least() / (64 * 1024)
    }

    /// A limit below this lets a component pass, and then fails its every call.
    #[test]
    fn the_memories_of_everything_that_is_instantiated_count() {
        let two = "(core module $a (memory 1)) (core module $b (memory 2) (memory 1))";
        let nested = "(component $c (core module $m (memory 2)) (core instance (instantiate $m)))";
        let aliased = "(core module $m (memory 2)) (component $c (alias outer $whole $m (core module $n))
            (core instance (instantiate $n)) (core instance (instantiate $n)))";
        for (inside, expected) in [
            (String::new(), 0),
            ("(core module (memory 3))".to_owned(), 3),
            (format!("{two} (core instance (instantiate $a))"), 2),
            (format!("{two} (core instance (instantiate $a)) (core instance (instantiate $a))"), 2),
            (format!("{two} (core instance (instantiate $b)) (core instance (instantiate $a))"), 4),
            (format!("{nested} (instance (instantiate $c)) (instance (instantiate $c))"), 4),
            (format!("{aliased} (instance (instantiate $c))"), 4),
        ] {
            assert_eq!(pages(&inside), expected, "{inside}");
        }
    }
}
