//! The packages that the runs of cargo name. Cargo unites the features of dependencies over the packages of one run, so runs
//! that are to share what they make name the same ones.

use crate::guests;

/// The packages that know nothing of the host, beside the examples.
const GUEST_SIDE: [&str; 5] =
    ["chat-agent", "conformance-agent", "daca-sdk", "daca-sdk-macros", "test-guests"];

/// The package of the real servers, and those that use it: the benchmark, the faults, and the tests on a cluster.
const STACK_SIDE: [&str; 4] = ["daca-stack", "daca-bench", "daca-chaos", "daca-k8s"];

/// The guests' packages, as arguments of cargo.
pub(crate) fn guest_side() -> String {
    let packages = GUEST_SIDE.iter().chain(&guests::EXAMPLES);
    packages.map(|package| format!("-p {package}")).collect::<Vec<_>>().join(" ")
}

/// All other packages, so that a new one is not forgotten. What the servers' own packages need beside those of the host makes
/// no difference to the others.
pub(crate) fn host_side(with_stack: bool) -> String {
    let left_out = if with_stack { &[][..] } else { &STACK_SIDE };
    let left_out = GUEST_SIDE
        .iter()
        .chain(&guests::EXAMPLES)
        .chain(left_out)
        .map(|package| format!(" --exclude {package}"));
    format!("--workspace{}", left_out.collect::<String>())
}
