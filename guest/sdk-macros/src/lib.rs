//! The `#[agent]` attribute of `daca-sdk`. Use it through that crate.

mod agent;
mod expand;

use proc_macro::TokenStream;

/// Turns a struct into an agent. Put it on the `impl` block that holds the methods.
///
/// The struct must be `Default`. Each instance has one value of it, for as long as the instance lives.
///
/// # Methods
///
/// Each `pub fn` is a method that can be called from outside. Functions that are not `pub` are private.
///
/// ```
/// # #[derive(Default)]
/// # struct Notes(Vec<String>);
/// use daca_sdk::{Failure, agent};
///
/// #[agent]
/// impl Notes {
///     /// Reachable as `AddNote`, with a text as the payload.
///     pub fn add_note(&mut self, text: String) -> Result<(), Failure> {
///         self.check(&text)?;
///         self.0.push(text);
///         Ok(())
///     }
///
///     /// Reachable as `count`.
///     #[method(name = "count")]
///     pub fn number_of_notes(&self) -> Result<usize, Failure> {
///         Ok(self.0.len())
///     }
///
///     /// Not reachable.
///     fn check(&self, text: &str) -> Result<(), Failure> {
///         if text.is_empty() { Err(Failure::invalid("an empty note")) } else { Ok(()) }
///     }
/// }
/// ```
///
/// - The name of a method is the function's name in `PascalCase`, or the one in `#[method(name = "…")]`.
/// - It takes `&self` or `&mut self`, and optionally a payload: one owned parameter of a type that implements
///   `serde::de::DeserializeOwned`. The payload is parsed as JSON; an empty one counts as `null`. If it does not fit the
///   type, the call fails with `Failure::Invalid` before the method runs. A method without a parameter ignores it.
/// - It returns `Result<T, E>`, where `T` implements `serde::Serialize` and becomes the reply in JSON, and `E` converts
///   into a `Failure`.
/// - A call of an unknown method fails with `Failure::NotFound`, which lists the methods that exist.
///
/// # Hooks
///
/// These attributes mark functions that the host calls by itself. Such functions are not methods, even if they are
/// `pub`. Each attribute may occur once.
///
/// | attribute | signature | runs |
/// |---|---|---|
/// | `#[activate]` | `fn(&mut self) -> Result<(), E>` | in every new instance, before its first method |
/// | `#[deactivate]` | `fn(&mut self) -> Result<(), E>` | when the actor is deactivated; not when the host is killed |
/// | `#[reminder]` | `fn(&mut self, name: &str, data: T) -> Result<(), E>` | when a reminder fires |
/// | `#[timer]` | `fn(&mut self, name: &str, data: T) -> Result<(), E>` | when a timer fires |
/// | `#[effect_failed]` | `fn(&mut self, effect: FailedEffect, reason: Error) -> Result<(), E>` | once for each event or sent binding that was given up |
/// | `#[migrate(to = "…", keys = …)]` | `fn(&mut self, from: &str, state: &mut Migration) -> Result<(), E>` | once for each actor whose state has another schema |
///
/// An agent without `#[reminder]` cannot register reminders. An agent without `#[timer]` cannot register timers.
///
/// ```
/// use std::time::Duration;
/// use daca_sdk::{Error, Schedule, agent, reminders, state};
///
/// #[derive(Default)]
/// struct Heart {
///     beats: u64,
/// }
///
/// #[agent]
/// impl Heart {
///     #[activate]
///     fn remember(&mut self) -> Result<(), Error> {
///         self.beats = state::get("beats")?.unwrap_or(0);
///         Ok(())
///     }
///
///     pub fn start(&mut self) -> Result<(), Error> {
///         reminders::register("beat", Schedule::after(Duration::ZERO).every(Duration::from_secs(1)), &1)
///     }
///
///     #[reminder]
///     fn beat(&mut self, _name: &str, by: u64) -> Result<(), Error> {
///         self.beats += by;
///         state::set("beats", &self.beats)
///     }
/// }
/// ```
///
/// # Effects that fail
///
/// An event or a sent binding that cannot be delivered is given up after some retries. An agent with `#[effect_failed]` is
/// told, in a call of its own: what the function writes and sends commits like that of any other call.
///
/// ```
/// use daca_sdk::{Error, FailedEffect, agent, bindings, state};
///
/// #[derive(Default)]
/// struct Order;
///
/// #[agent]
/// impl Order {
///     pub fn place(&mut self) -> Result<(), Error> {
///         bindings::send("mail", "create", "thank you", &[])?;
///         state::set("status", "placed")
///     }
///
///     #[effect_failed]
///     fn not_sent(&mut self, effect: FailedEffect, reason: Error) -> Result<(), Error> {
///         state::set("status", &format!("{} was not sent: {reason}", effect.identity))
///     }
/// }
/// ```
///
/// - The reason is `Error::Unavailable` if the last try failed in a way that another one might have changed. All other
///   variants are definite.
/// - When the function fails or panics, it is called again about a minute later, five times in all.
/// - It is not told of effects of its own.
///
/// # Schema migration
///
/// A version whose state has another schema than the previous version's gives the schema a label, and migrates the state
/// of each actor in the actor's first call: before `#[activate]`, and in the same transaction as that call.
///
/// ```
/// use daca_sdk::{Failure, Migration, agent, state};
///
/// #[derive(Default)]
/// struct Notes;
///
/// #[agent]
/// impl Notes {
///     /// A note used to be a text. Now it is a text and a flag: done or not.
///     #[migrate(to = "2", keys = ["notes"])]
///     fn add_marks(&mut self, _from: &str, state: &mut Migration) -> Result<(), Failure> {
///         let texts: Vec<String> = state.get("notes")?.unwrap_or_default();
///         let notes: Vec<_> = texts.into_iter().map(|text| (text, false)).collect();
///         state.set("notes", &notes)
///     }
///
///     pub fn all(&self) -> Result<Vec<(String, bool)>, Failure> {
///         Ok(state::get("notes")?.unwrap_or_default())
///     }
/// }
/// ```
///
/// - `to` is the label of the new schema, 1 to 64 bytes. `from` is the label of the version that wrote the state. A
///   version without the hook has the label that its deployment named, or else the first twelve digits of its SHA-256.
/// - `keys` are the keys that the function reads, since not every store can list them. It is an expression that implements
///   `IntoIterator` over items that convert into a `String`, such as `[format!("notes-{}", identity::actor_id())]`. It
///   runs in the call and can use every import. The function gets the keys that exist; if none exists, it does not run.
/// - The content of `state` afterwards replaces them. A failure or a panic fails the call and leaves the state unchanged.
/// - To allow a rollback to a version, give that version the hook as well, with its own label, for the newer schema.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
