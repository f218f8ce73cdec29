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
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
