//! Where components are compiled, and who gives way meanwhile.

use daca_manifest::CompileLimits;

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum CompileIn {
    /// In this process, without bounds: for programs that trust their components, and are not `daca`.
    ThisProcess,
    /// In a process of its own, for which this program is started again.
    OwnProcess(CompileLimits),
}

/// Who must give way while a component is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiling {
    /// Nobody: nothing serves before it is compiled.
    Starting,
    /// The compiler, to everybody else: a component that is compiled while the host serves must not be felt by its callers.
    Serving,
}
