//! The engine of scripts, which the host brings: the component of all of them.

use std::sync::{Arc, LazyLock};

use daca_base::digest::digest;
use daca_base::memory::Reservation;
use daca_script::ENGINE;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use wasmtime::component::{InstancePre, Linker};

use super::initial_memory::InitialMemory;
use super::{InstanceState, Outline};

/// The interface from which the engine takes its script.
const SOURCE: &str = "daca:script/source@0.1.0";

/// The engine, compiled and linked at the first script.
#[derive(Clone, Default)]
pub(super) struct ScriptEngine(pub(super) Arc<OnceCell<LinkedEngine>>);

#[derive(Clone)]
pub(super) struct LinkedEngine {
    pub(super) outline: Outline,
    pub(super) pre: InstancePre<InstanceState>,
    /// How its instances begin.
    pub(super) initial_memory: InitialMemory,
    /// The bytes of an instance's memory that are mapped.
    pub(super) image_bytes: u64,
    /// The part of the host's budget of memory that its code and images take, and the files of its images.
    pub(super) _held: Arc<(Reservation, Option<OwnedSemaphorePermit>)>,
}

/// Links the import of the script. Only the engine can have it: `imports::offers` does not know it.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.instance(SOURCE)?.func_wrap(
        "read",
        |store: wasmtime::StoreContextMut<'_, InstanceState>, (): ()| {
            let script = store.data().script.clone();
            let script = script.ok_or_else(|| wasmtime::Error::msg("this instance has no script"))?;
            Ok((script.source.clone(),))
        },
    )
}

/// The SHA-256 of the engine's file, under which its code is kept. Every deployment asks for it, and the file has megabytes.
pub(super) fn engine_digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| digest(ENGINE));
    &DIGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::initial_memory::MAPPED_FROM;

    /// It begins with a snapshot of a megabyte, and each script has an instance.
    #[test]
    fn the_engines_memory_is_mapped() {
        let outline = Outline::of_engine(ENGINE).map_err(|refusal| refusal.1).expect("an outline");
        assert_eq!(outline.data.initial_memory(MAPPED_FROM), InitialMemory::Mapped);
        assert_eq!(outline.data.images, 1);
    }
}
