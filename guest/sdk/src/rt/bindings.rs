//! What `wit-bindgen` makes of the contract. Nothing of it is for authors.
//!
//! Each optional export is a world of its own, so that the component of an agent without, say, a reminder hook does
//! not export `on-reminder`: the host looks at a component's exports to know what it may call. The exports are made
//! in the author's crate, by the `__export_*` macros that `#[agent]` calls; here are the imports and the types.

/// All imports, and the one export that every agent has.
pub mod actor {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "agent",
        generate_all,
        ownership: Borrowing { duplicate_if_necessary: true },
        pub_export_macro: true,
        export_macro_name: "export_actor",
        default_bindings_module: "daca_sdk::rt::bindings::actor",
    });
}

/// The export `lifecycle`.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package daca:sdk-lifecycle; world sdk-lifecycle { export daca:agent/lifecycle@0.1.0; }",
        with: { "daca:agent/types@0.1.0": crate::rt::bindings::actor::daca::agent::types },
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "daca_sdk::rt::bindings::lifecycle",
    });
}

/// The export `on-reminder`.
pub mod on_reminder {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package daca:sdk-on-reminder; world sdk-on-reminder { export daca:agent/on-reminder@0.1.0; }",
        with: { "daca:agent/types@0.1.0": crate::rt::bindings::actor::daca::agent::types },
        pub_export_macro: true,
        export_macro_name: "export_on_reminder",
        default_bindings_module: "daca_sdk::rt::bindings::on_reminder",
    });
}

/// The export `on-timer`.
pub mod on_timer {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package daca:sdk-on-timer; world sdk-on-timer { export daca:agent/on-timer@0.1.0; }",
        with: { "daca:agent/types@0.1.0": crate::rt::bindings::actor::daca::agent::types },
        pub_export_macro: true,
        export_macro_name: "export_on_timer",
        default_bindings_module: "daca_sdk::rt::bindings::on_timer",
    });
}

/// The export `on-effect-failed`.
pub mod on_effect_failed {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package daca:sdk-on-effect-failed; world sdk-on-effect-failed { export daca:agent/on-effect-failed@0.1.0; }",
        with: { "daca:agent/types@0.1.0": crate::rt::bindings::actor::daca::agent::types },
        pub_export_macro: true,
        export_macro_name: "export_on_effect_failed",
        default_bindings_module: "daca_sdk::rt::bindings::on_effect_failed",
    });
}

/// The export `migration`.
pub mod migration {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package daca:sdk-migration; world sdk-migration { export daca:agent/migration@0.1.0; }",
        with: { "daca:agent/types@0.1.0": crate::rt::bindings::actor::daca::agent::types },
        pub_export_macro: true,
        export_macro_name: "export_migration",
        default_bindings_module: "daca_sdk::rt::bindings::migration",
    });
}
