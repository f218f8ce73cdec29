//! What knows nothing of actors: the reader of all JSON from outside ([`json`]), bounded reads and whole writes of files
//! ([`text`], [`files`]), the time by which everything is decided ([`clock`]), the log ([`telemetry`]), tasks that last ([`task`]), and the forms of what people
//! and Dapr write ([`address`], [`go_duration`]). [`digest`] names bytes.

pub mod address;
pub mod clock;
pub mod digest;
pub mod files;
pub mod go_duration;
pub mod json;
pub mod task;
pub mod telemetry;
pub mod text;
