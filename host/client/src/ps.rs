//! `daca ps`: the serving versions of the agent types, with their turns and failures.

use super::Form;
use super::admin::{self, Admin, Error};
use super::table::{Column, TextTable};
use daca_base::digest::short;
use daca_model::admin::{AgentInfo, Agents};

/// One row for each agent type and version, of all types or of one.
pub async fn ps(admin: &Admin, agent_type: Option<&str>, form: Form) -> Result<String, Error> {
    let text = admin.get(&admin::path(&["agents"], &[])).await?;
    let agents = admin::read::<Agents>(&text)?.agents;
    if let Some(name) = agent_type
        && !agents.iter().any(|agent| agent.agent_type == name)
    {
        return Err(Error::AgentType(name.to_owned()));
    }
    if form == Form::Json {
        return Ok(text);
    }
    Ok(table(agents.iter().filter(|agent| agent_type.is_none_or(|name| name == agent.agent_type))))
}

fn table<'a>(agents: impl Iterator<Item = &'a AgentInfo>) -> String {
    let mut table = TextTable::new([
        Column::Text("TYPE"),
        Column::Text("VERSION"),
        Column::Text("LABEL"),
        Column::Number("SHARE"),
        Column::Number("ACTIVE"),
        Column::Number("QUEUED"),
        Column::Number("TURNS"),
        Column::Number("FAILURES"),
        Column::Number("FAULTS"),
    ]);
    for agent in agents {
        for (number, version) in agent.versions.iter().enumerate() {
            // They belong to the type, whatever the version.
            let of_type = |count: usize| if number == 0 { count.to_string() } else { String::new() };
            table.row([
                agent.agent_type.clone(),
                short(&version.version).to_owned(),
                version.label.clone(),
                format!("{} %", version.share),
                of_type(agent.active),
                of_type(agent.queued),
                version.turns.to_string(),
                version.failed_turns.to_string(),
                version.faults.to_string(),
            ]);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What belongs to a type is not shown as if each of its versions had it; what others name cannot command a terminal.
    #[test]
    fn each_version_has_a_row_and_each_type_its_counts_once() -> Result<(), Error> {
        let answer = r#"{"agents": [
            {"agent_type": "ChatAgent", "component": "a.wasm", "version": "3f2a91bc0d1e4455", "bytes": 120000, "active": 12,
             "queued": 3, "instances": 12, "turns": 1090, "failed_turns": 2, "faults": 1, "instances_made": 14, "versions": [
                {"version": "3f2a91bc0d1e4455", "label": "1.2", "share": 90, "turns": 1000, "failed_turns": 2, "faults": 1},
                {"version": "91bc3f2a0d1e4455", "label": "\u001b[2J", "share": 10, "turns": 90, "failed_turns": 0, "faults": 0}]},
            {"agent_type": "B", "component": "b.wasm", "version": "0d1e445591bc3f2a", "bytes": null, "active": 0, "queued": 0,
             "instances": 0, "turns": 0, "failed_turns": 0, "faults": 0, "instances_made": 0, "versions": [], "new": {}}]}"#;
        let agents = admin::read::<Agents>(answer)?.agents;
        let expected = "\
TYPE       VERSION       LABEL      SHARE  ACTIVE  QUEUED  TURNS  FAILURES  FAULTS
ChatAgent  3f2a91bc0d1e  1.2         90 %      12       3   1000         2       1
ChatAgent  91bc3f2a0d1e  \\u{1b}[2J   10 %                     90         0       0";
        assert_eq!(table(agents.iter()), expected);
        Ok(())
    }
}
