//! What the admin API shows of versions: those that each agent type has, with their use, turns and history.

use std::collections::BTreeMap;

use daca_deploy::{Deployed, Event, Mounted, Record, TypeView, VersionMetadata};
use daca_model::admin::{
    ChangeAnswer, Refusal, ServingVersion, TypeVersions, VersionEvent, VersionInfo, VersionState, Word,
};
use daca_model::deployment::Canary;
use daca_runtime::component::Counted;

/// The answer to a change.
pub(super) fn change(deployed: Deployed) -> ChangeAnswer {
    let Deployed { agent_type, outcome, label, revision, stored_again, milliseconds, warnings } = deployed;
    let warning = |error: daca_deploy::Error| Refusal {
        detail: error.message,
        code: Some(error.code.to_string()),
        help: Some(error.help),
    };
    ChangeAnswer {
        agent_type: agent_type.to_string(),
        outcome: outcome.outcome.into(),
        version: outcome.version,
        label,
        share: outcome.share,
        before: outcome.previous,
        revision,
        stored_again,
        milliseconds,
        warnings: warnings.into_iter().map(warning).collect(),
    }
}

/// The versions of an agent type: its own, and those that are only mounted.
pub(super) fn of_type(view: &TypeView, mounted: &[Mounted]) -> TypeVersions {
    let TypeView { agent_type, record, counted } = view;
    let mut known = record.versions.iter().collect::<Vec<_>>();
    known.sort_by_key(|(_, metadata)| std::cmp::Reverse(metadata.last_revision));
    let counted = |version: &String| counted.get(version).copied().unwrap_or_default();
    let known =
        known.into_iter().map(|(version, metadata)| deployed(record, version, metadata, counted(version)));
    let only_mounted = mounted.iter().filter(|mounted| !record.versions.contains_key(&mounted.digest));
    TypeVersions {
        agent_type: agent_type.to_string(),
        revision: record.revision,
        serving: record.serving.clone(),
        canary: record
            .canary
            .as_ref()
            .map(|canary| Canary { version: canary.version.clone(), share: canary.share }),
        pins: record.pins.clone(),
        versions: known.chain(only_mounted.map(mounted_only)).collect(),
        history: record.history.iter().map(event).collect(),
    }
}

fn deployed(record: &Record, version: &str, metadata: &VersionMetadata, counted: Counted) -> VersionInfo {
    VersionInfo {
        version: version.to_owned(),
        label: metadata.label.clone(),
        bytes: metadata.bytes,
        since: metadata.deployed_at.clone(),
        source: metadata.source.to_string(),
        by: metadata.initiated_by.clone(),
        state: state_of(record, version),
        turns: counted.turns,
        failed_turns: counted.failed_turns,
        faults: counted.faults,
    }
}

/// A version that was never deployed: nobody has labelled it, and it has no turns.
fn mounted_only(mounted: &Mounted) -> VersionInfo {
    VersionInfo {
        version: mounted.digest.clone(),
        label: String::new(),
        bytes: mounted.bytes,
        since: String::new(),
        source: VersionState::Mounted.to_string(),
        by: mounted.path.display().to_string(),
        state: vec![VersionState::Mounted.into()],
        turns: 0,
        failed_turns: 0,
        faults: 0,
    }
}

fn state_of(record: &Record, version: &str) -> Vec<Word<VersionState>> {
    let is_canary = record.canary.as_ref().is_some_and(|canary| canary.version == version);
    let states = [
        (VersionState::Serving, record.serving == version),
        (VersionState::Canary, is_canary),
        (VersionState::Pinned, record.pins.values().any(|pinned| pinned == version)),
        (VersionState::Before, record.previous_version().is_some_and(|previous| previous == version)),
    ];
    let states = states.into_iter().filter(|(_, is_so)| *is_so);
    let mut states = states.map(|(state, _)| Word::Known(state)).collect::<Vec<_>>();
    if states.is_empty() {
        states.push(Word::Known(VersionState::Kept));
    }
    states
}

fn event(event: &Event) -> VersionEvent {
    VersionEvent {
        at: event.at.clone(),
        what: event.kind.clone(),
        version: event.version.clone(),
        source: event.source.clone(),
        by: event.initiated_by.clone(),
        code: event.code.clone(),
        text: event.text.clone(),
    }
}

/// The serving versions of a type, with the percentage of the actors that each has.
pub(super) fn serving(view: &TypeView) -> Vec<ServingVersion> {
    let canary = view.record.canary.as_ref();
    let share = canary.map_or(0, |canary| canary.share);
    let pinned = view.record.pins.values().map(|version| (version, 0));
    let mut all = vec![(&view.record.serving, 100 - share)];
    all.extend(canary.map(|canary| (&canary.version, canary.share)));
    all.extend(pinned);
    let mut seen = BTreeMap::new();
    for (version, share) in all {
        seen.entry(version).or_insert(share);
    }
    let entry = |(version, share): (&String, u8)| {
        let counted = view.counted.get(version).copied().unwrap_or_default();
        ServingVersion {
            version: version.clone(),
            label: view.record.label(version).to_owned(),
            share,
            turns: counted.turns,
            failed_turns: counted.failed_turns,
            faults: counted.faults,
        }
    };
    let mut entries = seen.into_iter().map(entry).collect::<Vec<_>>();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.share));
    entries
}
