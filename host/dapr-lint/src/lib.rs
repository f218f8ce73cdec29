//! `daca check --components`: reports what in a folder of Dapr components will not work with a manifest, and why.
//!
//! A sidecar that lacks something rarely stops: it leaves a component out, never reads a topic, or loses a message, and
//! reports that in a line of its log. The rules here follow Dapr's source (1.16 to 1.18); comments explain the
//! surprising cases.

mod bindings;
mod check;
mod duration;
mod finding;
mod folder;
mod kafka;
mod kinds;
mod known;
mod names;
mod reader;
mod report;
mod required;
mod resiliency;
mod resource;
mod scopes;
mod secrets;
mod stores;
mod topics;
mod types;
mod yaml;

use std::path::PathBuf;

use check::Check;
use finding::{Findings, Location};
use folder::Folder;
use required::RequiredComponents;

use daca_base::ErrorCode;
use daca_manifest::Manifest;

/// The options of the check.
#[derive(Debug)]
pub struct Options {
    /// The folder with Dapr's resources.
    pub folder: PathBuf,
    /// The id of the sidecar's app: components that are scoped to other apps do not apply.
    pub app_id: String,
}

/// The result of the check.
#[derive(Debug)]
pub struct LintOutcome {
    /// The findings, one text each.
    pub findings: Vec<String>,
    /// `true` if one of them is an error.
    pub failed: bool,
    /// The components, and the manifest's uses of each.
    pub report: String,
}

/// Checks a folder against a valid manifest; `text` is that of the manifest.
pub fn run(manifest: &Manifest, text: &str, options: &Options) -> LintOutcome {
    let mut findings = Findings::default();
    let folder = Folder::read(&options.folder, &mut findings);
    check(manifest, text, &folder, &options.app_id, findings)
}

/// The same for the text of one file.
pub fn run_text(manifest: &Manifest, text: &str, yaml: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let folder = Folder::of_text(yaml, &mut findings);
    check(manifest, text, &folder, "chat-agent", findings).findings
}

fn check(manifest: &Manifest, text: &str, folder: &Folder, app: &str, mut findings: Findings) -> LintOutcome {
    let required = RequiredComponents::read(&manifest.path, text).unwrap_or_else(|error| {
        // The text has passed the manifest's own check, so this is a defect of the host.
        let help = "report this";
        findings.error(
            ErrorCode::ComponentsUnreadable,
            &Location::whole(&manifest.path),
            error.message(),
            help,
        );
        RequiredComponents::default()
    });
    let mut check = Check { manifest, required: &required, folder, app, findings };
    names::check(&mut check);
    types::check(&mut check);
    stores::check(&mut check);
    secrets::check(&mut check);
    topics::check(&mut check);
    resiliency::check(&mut check);
    bindings::check(&mut check);
    kafka::check(&mut check);
    let report = report::of(&check);
    LintOutcome { failed: check.findings.has_errors(), findings: check.findings.lines(), report }
}
