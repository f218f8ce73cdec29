//! The places that an instance takes of the engine's pools.
//!
//! Wasmtime tells the memories and tables of a component as it counts them itself, whatever is nested in it. The core
//! instances it does not tell; but its pool of them is a mere counter, and so large that it is never used up
//! ([`EngineOptions`](super::EngineOptions)).

use wasmtime::component::Component;

use super::Outline;
use super::engine_options::{CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT};

/// What an instance takes, besides a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolNeeds {
    /// Core instances, or tables if there are more of them: the engine has as many places for both.
    pub(crate) core_instances: usize,
    /// Memories.
    pub(crate) memories: usize,
}

impl PoolNeeds {
    pub(super) fn of(outline: &Outline, component: &Component) -> PoolNeeds {
        let most = CORE_INSTANCES_PER_COMPONENT as usize;
        // It is unknown for a component that imports modules, which the host does not offer.
        let (memories, tables) = match component.resources_required() {
            Some(required) => (required.num_memories, required.num_tables),
            None => (MEMORIES_PER_COMPONENT, CORE_INSTANCES_PER_COMPONENT),
        };
        let number = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        PoolNeeds {
            core_instances: outline.core_instances.max(number(tables)).min(most),
            memories: number(memories),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{Compiling, ComponentVersion, Engine, EngineOptions};

    /// What an instance of the guest needs that has more in it.
    async fn needs(more: &str) -> PoolNeeds {
        let engine = Engine::new(&EngineOptions::of_tests()).expect("an engine");
        let guest = include_str!("../fake/agent.wat").trim_end();
        let guest = guest.strip_suffix(')').expect("the end of the component");
        let wasm = wat::parse_str(format!("{guest} {more})")).expect("a component in text form");
        let version = ComponentVersion::from_bytes(&engine, "a", wasm.into(), Compiling::Serving).await;
        version.expect("a component that can serve").needs
    }

    #[tokio::test]
    async fn what_is_nested_and_instantiated_often_counts_as_often() {
        let plain = needs("").await;
        let nested = "(component $c (core module $m (memory 1)) (core instance (instantiate $m)))";
        let often = needs(&format!("{nested} {}", "(instance (instantiate $c))".repeat(6))).await;
        assert_eq!(often.core_instances, plain.core_instances + 6);
        assert_eq!(often.memories, plain.memories + 6);
        let empty = "(component $c (core module $m) (core instance (instantiate $m)))";
        let often = needs(&format!("{empty} {}", "(instance (instantiate $c))".repeat(90))).await;
        assert_eq!((often.core_instances, often.memories), (plain.core_instances + 90, plain.memories));
    }

    /// What the file shows of a component that is the export of an instance is nothing.
    #[tokio::test]
    async fn memories_and_tables_count_wherever_they_come_from() {
        let plain = needs("").await;
        let exported = r#"(component $outer
            (component $c (core module $m (memory 1) (table 1 funcref)) (core instance (instantiate $m)))
            (export "c" (component $c)))
          (instance $i (instantiate $outer))
          (alias export $i "c" (component $n))"#;
        let often = needs(&format!("{exported} {}", "(instance (instantiate $n))".repeat(5))).await;
        assert_eq!(often.memories, plain.memories + 5);
        assert!(often.core_instances >= 5, "{often:?}");
    }
}
