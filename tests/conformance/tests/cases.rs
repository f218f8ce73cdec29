//! The cases on the built host, with every agent that is not left out.

use daca_conformance::{AGENTS, Table, groups, try_on_built_host};

#[tokio::test(flavor = "multi_thread")]
async fn every_agent_and_the_host_do_what_the_cases_say() -> anyhow::Result<()> {
    let groups = groups()?;
    let mut table = Table::default();
    for agent in AGENTS {
        if let Some(outcomes) = try_on_built_host(agent, &groups).await? {
            table.add(agent.name, outcomes);
        }
    }
    eprintln!("{table}");
    let failures = table.failures();
    assert!(failures.is_empty(), "{table}\n\n{}", failures.join("\n\n"));
    Ok(())
}
