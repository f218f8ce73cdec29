//! Fakes for unit tests: a backend whose answers a test determines, and a host over it with a small real agent.

mod backend;
mod host;

pub(crate) use backend::{AT_ONCE, DEFECT, FakeBackend, OVERLAP, TOGETHER, event};
pub(crate) use host::{FakeHost, IDLE_TIMEOUT, actor, code, ok};
