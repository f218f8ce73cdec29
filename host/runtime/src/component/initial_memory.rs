//! How the memories of an instance get their first content: by copying the component's data, or by mapping an image of
//! it, which all instances share until they write (copy-on-write).
//!
//! Copying costs for each byte, and for each instance. Mapping costs some system calls for each place in the pool that
//! changes from one component to another, and a page fault for each page. So it pays for components with much data, and
//! small ones lose by it. The file of a component decides, and nothing else: its code differs, too.

use wasmparser::{ConstExpr, Data, DataKind, DataSectionReader, Encoding, Operator, Payload, TypeRef};

/// The bytes of data from which on a component's memories are mapped. It lies between the two kinds of components that
/// there are: those of compiled languages have some tens of kilobytes, and the smallest interpreter, the engine of
/// scripts, has 1.0 MB. `cargo xtask bench activation` measures both.
pub(super) const MAPPED_FROM: u64 = 512 * 1024;
/// The bytes up to which an image may consist mostly of gaps between the data.
pub(super) const SPARSE_IMAGE: u64 = 16 * 1024 * 1024;

/// How the memories of an instance get their first content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InitialMemory {
    /// Code that runs in each new instance copies the data.
    Copied,
    /// Each new instance maps an image of the data.
    Mapped,
}

/// One thing for each kind of initial memory.
#[derive(Debug)]
pub(super) struct PerInitialMemory<T> {
    copied: T,
    mapped: T,
}

impl<T> PerInitialMemory<T> {
    /// Makes both.
    pub(super) fn new(mut make: impl FnMut(InitialMemory) -> T) -> PerInitialMemory<T> {
        PerInitialMemory { copied: make(InitialMemory::Copied), mapped: make(InitialMemory::Mapped) }
    }

    /// Makes both, or fails with the first error.
    pub(super) fn try_new<E>(
        mut make: impl FnMut(InitialMemory) -> Result<T, E>,
    ) -> Result<PerInitialMemory<T>, E> {
        Ok(PerInitialMemory { copied: make(InitialMemory::Copied)?, mapped: make(InitialMemory::Mapped)? })
    }

    pub(super) fn of(&self, initial_memory: InitialMemory) -> &T {
        match initial_memory {
            InitialMemory::Copied => &self.copied,
            InitialMemory::Mapped => &self.mapped,
        }
    }

    pub(super) fn both(&self) -> [&T; 2] {
        [&self.copied, &self.mapped]
    }
}

/// The data of a component that can be mapped, read from the declarations of its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MappableData {
    /// Bytes of the data itself.
    data: u64,
    /// Bytes of the images, which also have the gaps between the data.
    pub(super) image_bytes: u64,
    /// The images: one for each module with such data.
    pub(super) images: u32,
}

impl MappableData {
    /// How a component with this data begins, if `mapped_from` is the least that is mapped.
    pub(super) fn initial_memory(&self, mapped_from: u64) -> InitialMemory {
        if self.data >= mapped_from { InitialMemory::Mapped } else { InitialMemory::Copied }
    }

    fn add(&mut self, module: MappableData) {
        self.data = self.data.saturating_add(module.data);
        self.image_bytes = self.image_bytes.saturating_add(module.image_bytes);
        self.images = self.images.saturating_add(module.images);
    }
}

/// Adds up the data that can be mapped while a file is read from its beginning.
#[derive(Default)]
pub(super) struct DataReader {
    pub(super) found: MappableData,
    /// The memories that the present module imports: the index of its own one. No module lies within another.
    imported_memories: u32,
}

impl DataReader {
    /// Reads the next part of the file.
    pub(super) fn take(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => self.imported_memories = 0,
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let is_memory = matches!(import?.ty, TypeRef::Memory(_));
                    self.imported_memories = self.imported_memories.saturating_add(is_memory.into());
                }
            }
            Payload::DataSection(section) => {
                if let Some(data) = mappable(section.clone(), self.imported_memories)? {
                    self.found.add(data);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The data of a module, whose own memory has this index. `None` if there is none that wasmtime would map: all of it must
/// lie at fixed places of that memory, and not too far apart (`try_static_init` of its `module_environ.rs`).
fn mappable(section: DataSectionReader<'_>, own_memory: u32) -> wasmparser::Result<Option<MappableData>> {
    let (mut bytes, mut start, mut end) = (0_u64, u64::MAX, 0_u64);
    for segment in section {
        let Data { kind: DataKind::Active { memory_index, offset_expr }, data, .. } = segment? else {
            continue;
        };
        let Some(at) = fixed(&offset_expr)?.filter(|_| memory_index == own_memory) else { return Ok(None) };
        if !data.is_empty() {
            let size = data.len() as u64;
            bytes = bytes.saturating_add(size);
            start = start.min(at);
            end = end.max(at.saturating_add(size));
        }
    }
    let image_bytes = end.saturating_sub(start);
    let is_mapped = bytes > 0 && (image_bytes < bytes.saturating_mul(2) || image_bytes < SPARSE_IMAGE);
    Ok(is_mapped.then_some(MappableData { data: bytes, image_bytes, images: 1 }))
}

/// The place of a segment, if the file shows it.
fn fixed(offset: &ConstExpr<'_>) -> wasmparser::Result<Option<u64>> {
    let mut operators = offset.get_operators_reader();
    let at = match operators.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return Ok(None),
    };
    Ok(matches!(operators.read()?, Operator::End).then_some(at))
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    fn found(inside: &str) -> MappableData {
        let wasm = wat::parse_str(format!("(component {inside})")).expect("a component");
        let mut data = DataReader::default();
        for payload in Parser::new(0).parse_all(&wasm) {
            data.take(&payload.expect("a section")).expect("its content");
        }
        data.found
    }

    #[test]
    fn data_counts_that_lies_at_fixed_places_of_the_modules_own_memory() {
        let none = MappableData::default();
        let one = MappableData { data: 5, image_bytes: 20, images: 1 };
        let two = MappableData { data: 10, image_bytes: 40, images: 2 };
        let own = r#"(core module (memory 1) (data (i32.const 8) "abc") (data (i32.const 26) "de") (data "passive"))"#;
        let imported = r#"(core module (import "m" "m" (memory 1)) (data (i32.const 8) "abc"))"#;
        let computed = r#"(core module (import "g" "g" (global $g i32)) (memory 1)
            (data (i32.const 0) "abc") (data (global.get $g) "abc"))"#;
        let sparse =
            r#"(core module (memory 400) (data (i32.const 0) "abc") (data (i32.const 0x1000000) "d"))"#;
        for (inside, expected) in [
            (String::new(), none),
            ("(core module (memory 1))".to_owned(), none),
            (own.to_owned(), one),
            (imported.to_owned(), none),
            (computed.to_owned(), none),
            (sparse.to_owned(), none),
            (format!("{imported} {own} {computed} (component {own})"), two),
        ] {
            assert_eq!(found(&inside), expected, "{inside}");
        }
        assert_eq!(one.initial_memory(6), InitialMemory::Copied);
        assert_eq!(one.initial_memory(5), InitialMemory::Mapped);
    }
}
