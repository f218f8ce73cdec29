//! Where components are compiled, and with which priority.

use daca_manifest::CompileLimits;

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum CompileIn {
    /// In this process, without bounds: for programs that trust their components, and are not `daca`.
    ThisProcess,
    /// In a separate process, a new one of this program.
    OwnProcess(CompileLimits),
}

/// The priority of compiling a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiling {
    /// Normal: nothing serves before it is compiled.
    Starting,
    /// Low: callers must not notice that a component is compiled while the host serves.
    Serving,
}
