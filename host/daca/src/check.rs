//! `daca check`: reports the problems of a manifest and its components, or the imports, exports and permissions of each
//! agent type.
//!
//! "Component" has two meanings. In this file it is an agent's WebAssembly component. Those of [`daca_dapr_lint`] are
//! Dapr's, such as a state store, and are checked against the manifest on request.

use std::fmt::Write as _;
use std::path::Path;

use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_base::explanation::{framed, rendered};
use daca_base::telemetry::printable;
use daca_deploy as deploy;
use daca_manifest::{AgentType, Manifest, Payload, Route};
use daca_runtime::component::ComponentVersion;

use crate::Failure;
use daca_dapr_lint as components;
pub use daca_dapr_lint::Options as Components;

/// The result for a valid manifest.
#[derive(Debug)]
pub struct Report {
    /// Findings that are not errors: for standard error.
    pub remarks: String,
    /// The report: for standard output.
    pub text: String,
}

/// Checks a manifest and every component that it names, and on request Dapr's components. The result is for people. If
/// components do not pass, the failure lists all problems, each with its place and code.
pub fn run(path: &Path, dapr: Option<&Components>) -> Result<Report, Failure> {
    let text = Manifest::text(path)?;
    let manifest = Manifest::parse(path, &text)?;
    if let Some(path) = &manifest.embedded.secrets_file {
        daca_embedded::read_secrets(path)?;
    }
    let engine = crate::compile::engine(&manifest, false)?;
    let mut report = String::new();
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    let line = manifest.deploy.versions_line;
    match deploy::check_versions_folder(&manifest.deploy) {
        // A folder that is mounted elsewhere may be absent here, so this is no error.
        Ok(missing) => {
            remarks
                .extend(missing.map(|missing| format!("{}:{line}: {}", path.display(), warning(&missing))));
        }
        Err(error) => problems.push(format!("{}:{line}: {}", path.display(), rendered(&error))),
    }
    for agent in manifest.agents.values() {
        match deploy::check_file(&engine, &manifest.deploy, agent) {
            Ok(version) => {
                let place = format!("{}:{}", path.display(), agent.component.line);
                let in_vain = deploy::import_warnings(agent, &version.outline.imports);
                remarks.extend(in_vain.iter().map(|import| format!("{place}: {}", warning(import))));
                remarks.extend(body_beyond_memory(&manifest, agent).map(|body| format!("{place}: {body}")));
                let missing = deploy::missing_methods(agent, &version);
                problems.extend(missing.iter().map(|lack| format!("{place}: {}", rendered(lack))));
                describe(&mut report, agent, &version);
            }
            Err(error) => {
                problems.push(format!("{}:{}: {}", path.display(), agent.component.line, rendered(&error)));
            }
        }
    }
    let dapr = dapr.map(|options| components::run(&manifest, &text, options));
    let failed = !problems.is_empty() || dapr.as_ref().is_some_and(|dapr| dapr.failed);
    problems.extend(remarks);
    problems.extend(dapr.iter().flat_map(|dapr| dapr.findings.iter().cloned()));
    if failed {
        return Err(Failure::verbatim(problems.join("\n")));
    }
    describe_calls(&mut report, &manifest);
    report.push_str(dapr.as_ref().map_or("", |dapr| &dapr.report));
    let _ = writeln!(report, "{} is valid.", path.display());
    let remarks = problems.into_iter().map(|remark| remark + "\n").collect();
    Ok(Report { remarks, text: report })
}

fn warning(error: &deploy::Error) -> String {
    let deploy::Error { code, message, help } = error;
    framed("warning", code, message, Some(help))
}

/// A warning where the largest body that a route takes for an agent cannot be read in the memory that it has: a guest
/// holds the body and what is read from it.
fn body_beyond_memory(manifest: &Manifest, agent: &AgentType) -> Option<String> {
    let is_taken = |route: &Route| {
        route.call.agent_type == agent.name && !matches!(route.call.payload, Payload::Nothing)
    };
    let (body, memory) = (manifest.host.max_body, agent.limits.memory);
    if body.as_u64().saturating_mul(2) <= memory.as_u64() || !manifest.routes.iter().any(is_taken) {
        return None;
    }
    let message = format!(
        "host.max-body is {body}, and agents.{}.limits.memory is {memory}: it holds no such body twice",
        agent.name
    );
    let help = "give it more memory, or lower max-body: calls with larger bodies fail with memory-exceeded";
    Some(framed("warning", &ErrorCode::MemoryBelowBody, &message, Some(help)))
}

/// The calls that the manifest makes.
fn describe_calls(report: &mut String, manifest: &Manifest) {
    section(
        report,
        "routes",
        manifest.routes.iter().map(|route| {
            format!("{} {} -> {}.{}", route.method, route.path, route.call.agent_type, route.call.method)
        }),
    );
    section(
        report,
        "subscriptions",
        manifest.subscriptions.iter().map(|one| {
            let call = one.call.as_ref().map(|call| format!(" -> {}.{}", call.agent_type, call.method));
            format!("{}/{} at {}{}", one.pubsub, one.topic, one.path, call.unwrap_or_default())
        }),
    );
}

fn describe(report: &mut String, agent: &AgentType, version: &ComponentVersion) {
    let limits = &agent.limits;
    let _ = writeln!(report, "agent type {}", agent.name);
    let _ =
        writeln!(report, "  component {} ({} bytes)", agent.component.path.display(), version.outline.bytes);
    let _ = writeln!(report, "  version   {}", version.outline.digest);
    let _ = writeln!(
        report,
        "  limits    memory {}, running time {:?}, turn time {:?}, queue {}",
        limits.memory, limits.running_time, limits.turn_time, limits.queue
    );
    if let Some(script) = &version.script {
        let _ = writeln!(report, "  script    evaluated by engine {}", short(&script.engine));
        section(report, "  methods", script.methods.iter().cloned());
    }
    section(report, "  exports", version.outline.exports.iter().cloned());
    section(report, "  imports", version.outline.imports.iter().cloned());
    section(report, "  settings", agent.settings.keys().cloned());
    let permissions = agent.permissions.lines();
    if permissions.is_empty() {
        let _ = writeln!(report, "  may access nothing but its own state");
    } else {
        section(report, "  may", permissions);
    }
}

fn section(report: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let indent = " ".repeat(title.len() - title.trim_start().len() + 2);
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        let _ = writeln!(report, "{title}");
    }
    for line in lines {
        let _ = writeln!(report, "{indent}{}", printable(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_of_a_script_forge_no_line() {
        let mut report = String::new();
        section(&mut report, "  methods", ["Add".to_owned(), "x\nagents.toml is valid.".to_owned()]);
        assert_eq!(report, "  methods\n    Add\n    x\\nagents.toml is valid.\n");
    }
}
