//! The cases on the built host, with every agent that was built.

use daca_conformance::{AGENTS, Table, groups, try_on_built_host};

#[tokio::test(flavor = "multi_thread")]
async fn every_agent_and_the_host_do_what_the_cases_say() -> anyhow::Result<()> {
    let groups = groups()?;
    let mut table = Table::default();
    for agent in AGENTS {
        let file = agent.file();
        if !file.is_file() {
            assert!(!agent.is_required, "{} is missing; build it: {}", file.display(), agent.build);
            eprintln!("{} is left out: {} is missing", agent.name, file.display());
            continue;
        }
        table.add(agent.name, try_on_built_host(agent, &groups).await?);
    }
    eprintln!("{table}");
    let failures = table.failures();
    assert!(failures.is_empty(), "{table}\n\n{}", failures.join("\n\n"));
    Ok(())
}
