//! Interfaces of WASI that the host does not offer, such as `wasi:http`.
//!
//! Toolchains of interpreted languages import all that their libraries could use, whether the agent uses it or not. So a
//! component may import these interfaces, and a call of one traps.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker, ResourceType};

use crate::imports;

/// The maximum number of functions and types in the imports of a component that has absent ones: a few bytes of a file can
/// say any number. All of WASI 0.2 has some hundreds.
const MAX_ITEMS: usize = 5_000;

/// The type of every resource of an absent interface. No function makes one.
enum Absent {}

/// Returns `true` if a component may import this interface although the host does not offer it.
pub(super) fn is_absent(import: &str) -> bool {
    import.starts_with("wasi:") && !imports::offers(import)
}

/// The absent interfaces among the imports of a version.
pub fn absent_imports(imports: &[String]) -> Vec<&str> {
    imports.iter().map(String::as_str).filter(|import| is_absent(import)).collect()
}

/// Links a component, with functions that trap for the interfaces that are absent.
pub(super) fn instantiate_pre<T: 'static>(
    linker: &Linker<T>,
    component: &Component,
) -> wasmtime::Result<InstancePre<T>> {
    let declared = component.component_type();
    if !declared.imports(component.engine()).any(|(name, _)| is_absent(name)) {
        return linker.instantiate_pre(component);
    }
    let mut linker = linker.clone();
    define_absent(&mut linker, component)?;
    linker.instantiate_pre(component)
}

fn define_absent<T: 'static>(linker: &mut Linker<T>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    let declared = component.component_type();
    // A type that one interface takes from another is not defined again.
    let mut known = Vec::new();
    let mut items = 0;
    for (name, import) in declared.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let is_absent = is_absent(name);
        for (item, export) in interface.exports(engine) {
            items += 1;
            if items > MAX_ITEMS {
                return Err(wasmtime::Error::msg("the imports have too many functions and types"));
            }
            match export.ty {
                ComponentItem::Resource(resource) if !known.contains(&resource) => {
                    known.push(resource);
                    if is_absent {
                        let kind = ResourceType::host::<Absent>();
                        linker.instance(name)?.resource(item, kind, |_, _| Ok(()))?;
                    }
                }
                ComponentItem::ComponentFunc(_) if is_absent => {
                    let reason = format!("this host does not offer {name}, whose function {item} was called");
                    linker
                        .instance(name)?
                        .func_new(item, move |_, _, _, _| Err(wasmtime::Error::msg(reason.clone())))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
