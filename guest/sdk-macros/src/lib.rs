//! The `#[agent]` attribute of `daca-sdk`. Use it from there.

mod agent;
mod expand;

use proc_macro::TokenStream;

/// Makes an agent of a struct: put it on the `impl` block that holds its methods.
///
/// The struct must be `Default`. The host makes one for each instance and keeps it as long as the instance.
///
/// # Methods
///
/// Each `pub fn` is a method that can be called from outside. Functions that are not `pub` are the agent's own.
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
/// - The name of a method is that of the function in `PascalCase`, or what `#[method(name = "…")]` says.
/// - It takes `&self` or `&mut self`, and a payload or none: one owned parameter of a type that is
///   `serde::de::DeserializeOwned`. The payload is read as JSON; no bytes at all count as `null`. A payload that does
///   not fit is answered with `Failure::Invalid` before the method runs. A method without a parameter ignores it.
/// - It returns `Result<T, E>`, where `T` is `serde::Serialize` and becomes the reply in JSON, and `E` turns into a
///   `Failure`.
/// - A call of a method that is not there is answered with `Failure::NotFound`, which lists those there are.
///
/// # Hooks
///
/// These mark functions that the host calls by itself. They are not methods, `pub` or not. Each may occur once.
///
/// | attribute | signature | runs |
/// |---|---|---|
/// | `#[activate]` | `fn(&mut self) -> Result<(), E>` | in every new instance, before its first method |
/// | `#[deactivate]` | `fn(&mut self) -> Result<(), E>` | when the actor is deactivated; not when the host is killed |
/// | `#[reminder]` | `fn(&mut self, name: &str, data: T) -> Result<(), E>` | when a reminder fires |
/// | `#[timer]` | `fn(&mut self, name: &str, data: T) -> Result<(), E>` | when a timer fires |
/// | `#[migrate(to = "…", keys = …)]` | `fn(&mut self, from: &str, state: &mut Migration) -> Result<(), E>` | once for each actor whose state another version has kept |
///
/// An agent without `#[reminder]` cannot register reminders, and one without `#[timer]` no timers.
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
/// # State of another version
///
/// A version that keeps its state in another shape than the one before gives that shape a label, and changes the state
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
///     /// A note was a text. From now on it is a text, and whether it is done.
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
/// - `to` is the label, 1 to 64 bytes. `from` is the label of the version that has kept the state, or the first twelve
///   digits of its SHA-256 when it had none and its deployment named none.
/// - `keys` are those that the function wants to see, since a store cannot be asked which there are: an expression that
///   is `IntoIterator` over what turns into a `String`, such as `[format!("notes-{}", identity::actor_id())]`. It runs in
///   the call, and can use what the agent can. The function gets those that exist; where there are none, it does not run.
/// - What is in `state` afterwards takes their place. A failure or a panic fails the call, and leaves the state as it was.
/// - To let people go back to a version, give that one the hook, too: with its own label, and for the newer label.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
