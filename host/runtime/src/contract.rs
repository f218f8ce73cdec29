//! Types and glue generated from `wit/`. Imports are async if they wait for a backend.

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
