//! Components that are small, and whose instances take much: a guest with another component in it, of which each of its
//! instances has one.

use anyhow::{Context as _, bail};

/// The core instances of an instance: one less than a component may have.
const CORE_INSTANCES: usize = 99;
/// The elements of a table: as many as it may have.
const ELEMENTS: usize = 20_000;
/// Handles of an instance: some less than it may have.
const HANDLES: usize = 99_000;

/// The bytes before the sections.
const PREAMBLE: usize = 8;
/// The sections of a component, by their ids.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
const INSTANCE: u8 = 5;

/// What each instance has besides.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extra {
    /// Core instances of a module without anything.
    CoreInstances,
    /// The same with a full table each.
    Tables,
    /// Handles to resources.
    Handles,
}

impl Extra {
    /// The component with it, which has no more than so many core instances.
    fn text(self, core_instances: usize) -> String {
        let instances = "(core instance (instantiate $m))".repeat(core_instances);
        match self {
            Extra::CoreInstances => format!("(component (core module $m) {instances})"),
            Extra::Tables => format!(
                "(component (core module $m
                   (table {ELEMENTS} {ELEMENTS} funcref)
                   (func $f) (elem declare func $f)
                   (func $fill (table.fill 0 (i32.const 0) (ref.func $f) (i32.const {ELEMENTS})))
                   (start $fill))
                 {instances})"
            ),
            Extra::Handles => format!(
                "(component
                   (type $r (resource (rep i32)))
                   (core func $new (canon resource.new $r))
                   (core module $m
                     (import \"\" \"new\" (func $new (param i32) (result i32)))
                     (func $fill (local $n i32)
                       (loop $again
                         (drop (call $new (local.get $n)))
                         (local.set $n (i32.add (local.get $n) (i32.const 1)))
                         (br_if $again (i32.lt_u (local.get $n) (i32.const {HANDLES})))))
                     (start $fill))
                   (core instance (instantiate $m (with \"\" (instance (export \"new\" (func $new)))))))"
            ),
        }
    }
}

/// A guest with more in each of its instances. It has each of its core modules once.
pub(super) fn enlarged(guest: &[u8], extra: Extra) -> anyhow::Result<Vec<u8>> {
    let sections = sections(guest)?;
    let count = |id: u8| sections.iter().filter(|section| **section == id).count();
    let inner = wat::parse_str(extra.text(CORE_INSTANCES.saturating_sub(count(CORE_MODULE))))?;
    let mut wasm = guest.to_vec();
    push_section(&mut wasm, COMPONENT, &inner)?;
    // One instance, of that component, with no arguments.
    let mut instance = vec![1, 0];
    push_number(&mut instance, count(COMPONENT))?;
    instance.push(0);
    push_section(&mut wasm, INSTANCE, &instance)?;
    Ok(wasm)
}

/// The ids of a component's sections.
fn sections(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut rest = wasm.get(PREAMBLE..).context("it is no component")?;
    let mut ids = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        rest = after.get(size..).context("a section ends too early")?;
        ids.push(*id);
    }
    Ok(ids)
}

/// Reads a number in LEB128, and returns what is after it.
fn number(bytes: &[u8]) -> anyhow::Result<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[place + 1..]));
        }
    }
    bail!("a number has no end")
}

fn push_number(bytes: &mut Vec<u8>, number: usize) -> anyhow::Result<()> {
    let mut rest = u32::try_from(number)?;
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    Ok(())
}

fn push_section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) -> anyhow::Result<()> {
    wasm.push(id);
    push_number(wasm, content.len())?;
    wasm.extend_from_slice(content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload, Validator};

    use super::*;

    /// The first component of the guest cannot be instantiated, so a valid one names the other.
    #[test]
    fn a_guest_is_a_component_with_more_in_it() -> anyhow::Result<()> {
        let guest = wat::parse_str(
            r#"(component (core module $m) (core instance (instantiate $m)) (component (import "f" (func))))"#,
        )?;
        for (extra, core_instances) in [(Extra::CoreInstances, 99), (Extra::Tables, 99), (Extra::Handles, 2)]
        {
            let wasm = enlarged(&guest, extra)?;
            Validator::new().validate_all(&wasm).with_context(|| format!("{extra:?}"))?;
            let mut found = 0;
            for payload in Parser::new(0).parse_all(&wasm) {
                if let Payload::InstanceSection(section) = payload? {
                    for instance in section {
                        found += usize::from(matches!(instance?, wasmparser::Instance::Instantiate { .. }));
                    }
                }
            }
            assert_eq!(found, core_instances, "{extra:?}");
        }
        Ok(())
    }
}
