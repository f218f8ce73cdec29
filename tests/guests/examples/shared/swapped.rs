//! One agent in several versions, for tests that swap the component under a load: they see which version answered a call,
//! that one version alone did, and whether an entry was lost.

/// Makes the agent. A version says its name, the key and the type in which it keeps its numbers, and where it traps; what is in
/// the last braces are further functions of its own.
macro_rules! swapped {
    (
        version: $version:literal,
        entries: $entry:ty, under $key:literal,
        traps_in_methods: $traps_in_methods:literal,
        traps_in_activate: $traps_in_activate:literal,
        { $($more:tt)* }
    ) => {
        use std::time::Duration;

        use daca_sdk::{Failure, Schedule, agent, reminders, state};
        use serde::Deserialize;
        use serde_json::{Value, json};

        #[derive(Default)]
        struct Swapped {
            /// In memory alone: a new version is a new instance.
            activations: u64,
        }

        #[derive(Deserialize)]
        struct Add {
            number: u64,
        }

        #[derive(Deserialize)]
        struct Remind {
            name: String,
            due_ms: u64,
            number: u64,
        }

        #[derive(Deserialize)]
        struct Sleep {
            ms: u64,
        }

        #[agent]
        impl Swapped {
            $($more)*

            #[activate]
            fn activate(&mut self) -> Result<(), Failure> {
                if $traps_in_activate {
                    panic!("{} traps in activate", version());
                }
                self.activations += 1;
                Ok(())
            }

            /// Notes the version that the activation ended on.
            #[deactivate]
            fn deactivate(&mut self) -> Result<(), Failure> {
                Ok(state::set("deactivated-by", version())?)
            }

            /// The version that the last activation ended on.
            pub fn deactivated_by(&self) -> Result<Option<String>, Failure> {
                trap_if_set();
                Ok(state::get("deactivated-by")?)
            }

            /// Notes a number. Answers how many there are.
            pub fn add(&mut self, Add { number }: Add) -> Result<Value, Failure> {
                trap_if_set();
                let version = version();
                let entries = note(number)?;
                Ok(json!({ "version": version, "entries": entries, "check": check() }))
            }

            /// All numbers, in the order in which they were noted.
            pub fn entries(&self) -> Result<Value, Failure> {
                trap_if_set();
                Ok(json!({ "version": version(), "entries": entries()? }))
            }

            /// How often this instance was activated.
            pub fn activations(&self) -> Result<u64, Failure> {
                trap_if_set();
                Ok(self.activations)
            }

            /// Waits in the host, so that the turn runs while the component is swapped. Answers like `Add`.
            pub fn sleep(&mut self, Sleep { ms }: Sleep) -> Result<Value, Failure> {
                trap_if_set();
                let version = version();
                std::thread::sleep(Duration::from_millis(ms));
                Ok(json!({ "version": version, "entries": entries()?.len(), "check": check() }))
            }

            /// Registers a reminder that notes the number when it fires.
            pub fn remind(&mut self, remind: Remind) -> Result<(), Failure> {
                trap_if_set();
                let schedule = Schedule::after(Duration::from_millis(remind.due_ms));
                Ok(reminders::register(&remind.name, schedule, &remind.number)?)
            }

            #[reminder]
            fn fire(&mut self, _name: &str, number: u64) -> Result<(), Failure> {
                trap_if_set();
                note(number)?;
                Ok(state::set("fired-by", version())?)
            }

            /// The version in which the last reminder fired.
            pub fn fired_by(&self) -> Result<Option<String>, Failure> {
                trap_if_set();
                Ok(state::get("fired-by")?)
            }
        }

        /// The name of the version.
        #[inline(never)]
        fn version() -> &'static str {
            $version
        }

        /// The same out of another function: an answer whose two names differ comes from two versions.
        #[inline(never)]
        fn check() -> &'static str {
            concat!($version)
        }

        fn trap_if_set() {
            if $traps_in_methods {
                panic!("{} traps in every method", version());
            }
        }

        fn entries() -> Result<Vec<u64>, Failure> {
            let entries: Vec<$entry> = state::get($key)?.unwrap_or_default();
            Ok(entries.into_iter().map(u64::from).collect())
        }

        /// Adds to the entries, and answers how many there are.
        fn note(number: u64) -> Result<usize, Failure> {
            let mut entries: Vec<$entry> = state::get($key)?.unwrap_or_default();
            entries.push(<$entry>::from(number));
            state::set($key, &entries)?;
            Ok(entries.len())
        }
    };
}
