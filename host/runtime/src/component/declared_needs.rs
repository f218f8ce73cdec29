//! The memory and the core instances with which each instance of a component begins, read from the declarations of its
//! file.
//!
//! They are lower bounds: a module or component that comes from elsewhere, as an import or as the export of an instance,
//! has nothing in it, and what the compiler adds is not known yet.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding, Instance,
    MemoryType, Payload,
};

/// The entries of one index space that are remembered. Those of real components have some dozens.
const MAX_ENTRIES: usize = 1_000;

/// What one instance needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeclaredNeeds {
    /// Bytes of its memories.
    pub(super) memory: u64,
    /// Core instances, those of nested components included.
    pub(super) core_instances: usize,
}

/// Adds up the needs while a file is read from its beginning.
#[derive(Default)]
pub(super) struct NeedsReader {
    /// The modules and components around the current section, the outermost first.
    open: Vec<Scope>,
    /// Bytes of the largest memory that is declared anywhere.
    largest: u64,
    /// What an instance of the outermost component needs, once it was read.
    whole: DeclaredNeeds,
}

/// A module or component, as far as it was read. What is unknown needs nothing.
#[derive(Default)]
struct Scope {
    is_module: bool,
    /// What one instance needs.
    needs: DeclaredNeeds,
    /// What an instance of each module needs that it knows, by index.
    modules: Vec<DeclaredNeeds>,
    /// The same for components.
    components: Vec<DeclaredNeeds>,
}

impl DeclaredNeeds {
    fn add(&mut self, more: DeclaredNeeds) {
        self.memory = self.memory.saturating_add(more.memory);
        self.core_instances = self.core_instances.saturating_add(more.core_instances);
    }
}

impl NeedsReader {
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

    /// That without which there is no instance. The memory of a module that is not instantiated counts, too: the engine
    /// has to have a place for it.
    pub(super) fn least(&self) -> DeclaredNeeds {
        DeclaredNeeds { memory: self.whole.memory.max(self.largest), ..self.whole }
    }

    /// At the end of a module or component, which its parent then knows.
    fn close(&mut self) {
        let Some(Scope { is_module, needs, .. }) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) if is_module => add(&mut parent.modules, needs),
            Some(parent) => add(&mut parent.components, needs),
            None => self.whole = needs,
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        let (kind, needs) = match *alias {
            ComponentAlias::InstanceExport { kind, .. } => (kind, DeclaredNeeds::default()),
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
            scope.know(kind, needs);
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
                    self.needs.memory = self.needs.memory.saturating_add(bytes);
                    largest = largest.max(bytes);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.needs.add(entry(&self.modules, module_index));
                        self.needs.core_instances = self.needs.core_instances.saturating_add(1);
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.needs.add(entry(&self.components, component_index));
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.know(import?.ty.kind(), DeclaredNeeds::default());
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
                    let needs = entry(entries, export.index);
                    self.know(export.kind, needs);
                }
            }
            _ => {}
        }
        Ok(largest)
    }

    /// Adds an entry, if it is one of a module or component.
    fn know(&mut self, kind: ComponentExternalKind, needs: DeclaredNeeds) {
        match kind {
            ComponentExternalKind::Module => add(&mut self.modules, needs),
            ComponentExternalKind::Component => add(&mut self.components, needs),
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
fn add(entries: &mut Vec<DeclaredNeeds>, needs: DeclaredNeeds) {
    if entries.len() < MAX_ENTRIES {
        entries.push(needs);
    }
}

fn entry(entries: &[DeclaredNeeds], index: u32) -> DeclaredNeeds {
    entries.get(index as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    /// The initial memory of a component in pages of 64 KiB, and its core instances.
    fn needs(inside: &str) -> (u64, usize) {
        let wasm = wat::parse_str(format!("(component $whole {inside})")).expect("a component");
        let mut reader = NeedsReader::default();
        for payload in Parser::new(0).parse_all(&wasm) {
            reader.take(&payload.expect("a section")).expect("its content");
        }
        let DeclaredNeeds { memory, core_instances } = reader.least();
        (memory / (64 * 1024), core_instances)
    }

    /// A limit below this lets a component pass, and then fails its every call.
    #[test]
    fn everything_that_is_instantiated_counts_as_often_as_it_is() {
        let two = "(core module $a (memory 1)) (core module $b (memory 2) (memory 1))";
        let nested = "(component $c (core module $m (memory 2)) (core instance (instantiate $m)))";
        let aliased = "(core module $m (memory 2)) (component $c (alias outer $whole $m (core module $n))
            (core instance (instantiate $n)) (core instance (instantiate $n)))";
        let imported = r#"(import "m" (core module $m)) (core instance (instantiate $m))"#;
        for (inside, expected) in [
            (String::new(), (0, 0)),
            ("(core module (memory 3))".to_owned(), (3, 0)),
            (format!("{two} (core instance (instantiate $a))"), (2, 1)),
            (format!("{two} (core instance (instantiate $a)) (core instance (instantiate $a))"), (2, 2)),
            (format!("{two} (core instance (instantiate $b)) (core instance (instantiate $a))"), (4, 2)),
            (format!("{nested} (instance (instantiate $c)) (instance (instantiate $c))"), (4, 2)),
            (format!("{aliased} (instance (instantiate $c))"), (4, 2)),
            (format!("{nested} {}", "(instance (instantiate $c))".repeat(97)), (194, 97)),
            (imported.to_owned(), (0, 1)),
        ] {
            assert_eq!(needs(&inside), expected, "{inside}");
        }
    }

    /// Each component has two instances of the one before it.
    #[test]
    fn the_needs_of_components_within_components_multiply_and_do_not_overflow() {
        let mut inside =
            "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))".to_owned();
        for level in 1..=70 {
            let of = format!("(instance (instantiate $inner{level}))").repeat(2);
            inside += &format!(
                "(component $c{level} (alias outer $whole $c{} (component $inner{level})) {of})",
                level - 1
            );
        }
        assert_eq!(needs(&format!("{inside} (instance (instantiate $c6))")), (64, 64));
        let (pages, core_instances) = needs(&format!("{inside} (instance (instantiate $c70))"));
        assert_eq!((pages, core_instances), (u64::MAX / (64 * 1024), usize::MAX));
    }
}
