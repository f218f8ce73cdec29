//! A bare loop on wasmtime: what an activation costs when nothing but it is done.
//!
//! The engine has the host's settings, interruption included. The imports answer at once and keep nothing, and an instance's
//! state is what WASI needs, with nothing around it: no limits, no clock, no log.

use std::path::Path;

use daca_runtime::component::EngineOptions;
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod contract {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "agent-with-all-exports",
        imports: {
            "daca:agent/state.get": async,
            "daca:agent/state.get-many": async,
            "daca:agent/bindings.invoke": async,
            "daca:agent/actors.invoke": async,
            "daca:agent/reminders.get": async,
            "daca:agent/timers.get": async,
            "daca:agent/secrets.get": async,
        },
        exports: { default: async },
    });
}

use contract::daca::agent as daca;
use contract::exports::daca::agent as guest;
use contract::wasi::config::store as config;
use contract::wasi::logging::logging;

/// The component, ready to be instantiated.
pub(crate) struct Bare {
    engine: wasmtime::Engine,
    pre: InstancePre<State>,
    actor: guest::actor::GuestIndices,
    lifecycle: guest::lifecycle::GuestIndices,
}

struct State {
    wasi: WasiCtx,
    resources: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

impl Bare {
    /// Compiles the component in an engine of its own with the same settings as the host's.
    pub(crate) fn new(component: &Path, options: &EngineOptions) -> wasmtime::Result<Bare> {
        let engine = wasmtime::Engine::new(&options.config())?;
        let mut linker = Linker::new(&engine);
        link(&mut linker)?;
        let component = Component::from_file(&engine, component)?;
        let pre = linker.instantiate_pre(&component)?;
        let actor = guest::actor::GuestIndices::new(&pre)?;
        let lifecycle = guest::lifecycle::GuestIndices::new(&pre)?;
        Ok(Bare { engine, pre, actor, lifecycle })
    }

    /// Instantiates, activates, handles a message, drops.
    pub(crate) async fn activation(&self, message: &[u8]) -> wasmtime::Result<()> {
        let state = State { wasi: WasiCtx::builder().build(), resources: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let lifecycle = self.lifecycle.load(&mut store, &instance)?;
        let actor = self.actor.load(&mut store, &instance)?;
        let refused = |_| wasmtime::Error::msg("the guest refused");
        lifecycle.call_activate(&mut store).await?.map_err(refused)?;
        let reply = actor.call_invoke(&mut store, "ProcessMessage", message).await?;
        reply.map(drop).map_err(refused)
    }
}

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Own = HasSelf<State>;
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    daca::identity::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::state::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::pubsub::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::bindings::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::effects::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::types::add_to_linker::<_, Own>(linker, |state| state)?;
    config::add_to_linker::<_, Own>(linker, |state| state)?;
    logging::add_to_linker::<_, Own>(linker, |state| state)
}

impl daca::types::Host for State {}

impl daca::identity::Host for State {
    fn agent_type(&mut self) -> String {
        "ChatAgent".to_owned()
    }

    fn actor_id(&mut self) -> String {
        "user-1".to_owned()
    }

    fn turn_id(&mut self) -> String {
        "turn".to_owned()
    }
}

impl daca::state::Host for State {
    async fn get(&mut self, _key: String) -> Result<Option<Vec<u8>>, daca::types::Error> {
        Ok(None)
    }

    async fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, daca::types::Error> {
        Ok(vec![None; keys.len()])
    }

    fn set(&mut self, _key: String, _value: Vec<u8>, _ttl: Option<u32>) -> Result<(), daca::types::Error> {
        Ok(())
    }

    fn delete(&mut self, _key: String) -> Result<(), daca::types::Error> {
        Ok(())
    }
}

impl daca::pubsub::Host for State {
    fn publish(&mut self, _: String, _: String, _: Vec<u8>) -> Result<u32, daca::types::Error> {
        Ok(0)
    }
}

impl daca::bindings::Host for State {
    async fn invoke(
        &mut self,
        _: String,
        _: String,
        _: Vec<u8>,
        _: Vec<(String, String)>,
    ) -> Result<daca::bindings::Response, daca::types::Error> {
        Ok(daca::bindings::Response { data: Vec::new(), metadata: Vec::new() })
    }

    fn send(
        &mut self,
        _: String,
        _: String,
        _: Vec<u8>,
        _: Vec<(String, String)>,
    ) -> Result<u32, daca::types::Error> {
        Ok(1)
    }
}

impl daca::effects::Host for State {
    fn log_outcome(&mut self, _: u32, _: String, _: String) -> Result<(), daca::types::Error> {
        Ok(())
    }
}

impl config::Host for State {
    fn get(&mut self, _key: String) -> Result<Option<String>, config::Error> {
        Ok(Some("+1987654321".to_owned()))
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, config::Error> {
        Ok(Vec::new())
    }
}

impl logging::Host for State {
    fn log(&mut self, _level: logging::Level, _context: String, _message: String) {}
}
