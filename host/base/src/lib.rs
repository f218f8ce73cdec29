//! The parts that do not depend on actors: the parser of all external JSON ([`json`]), bounded reads and atomic writes
//! of files ([`text`], [`files`]), the clock of all decisions ([`clock`]), the log ([`telemetry`]), long-running tasks
//! ([`task`]), the waits of retries ([`backoff`]), the codes of errors ([`error_code`]) and how people see errors
//! ([`explanation`]), and formats of people and of Dapr ([`address`], [`go_duration`]). [`digest`] names bytes, an
//! [`archive`] shows whether it is whole, [`shares`] divide what all agent types use, [`memory`] is the budget of what the
//! process holds, [`waiters`] counts those who wait, and [`panics`] keeps expected panics out of the log.

pub mod address;
pub mod archive;
pub mod backoff;
pub mod clock;
pub mod digest;
pub mod error_code;
pub mod explanation;
pub mod files;
pub mod go_duration;
pub mod json;
pub mod memory;
pub mod panics;
pub mod shares;
pub mod task;
pub mod telemetry;
pub mod text;
pub mod waiters;

pub use error_code::ErrorCode;
pub use explanation::{Explained, Explanation};
