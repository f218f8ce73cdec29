//! `daca-conformance`: tries the cases on a host that runs, or on the built one with the agents of this folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;
use daca_conformance::{
    AGENTS, Agent, Group, Runner, SECRETS, Table, Target, groups, manifest, read, try_all, try_on_built_host,
};

/// Tries what every agent and every host must do.
#[derive(clap::Parser)]
struct Arguments {
    /// The application's port of a host that runs, such as http://127.0.0.1:8000
    #[arg(long, requires = "admin")]
    url: Option<String>,
    /// The admin port of that host
    #[arg(long, requires = "url")]
    admin: Option<String>,
    /// The token of the admin port
    #[arg(long, env = "DACA_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The agent's file: of the host that runs, for the case that deploys, or for --manifest
    #[arg(long)]
    component: Option<PathBuf>,
    /// Print the manifest that a host needs for the agent of --component, with this memory for an instance
    #[arg(long, value_name = "MEMORY", num_args = 0..=1, default_missing_value = "16MiB", requires = "component")]
    manifest: Option<String>,
    /// On the built host, only this agent; otherwise all that are built
    #[arg(long)]
    agent: Option<String>,
    /// Only the cases whose name or group contains this
    filter: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns `true` if all holds.
async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    if let (Some(memory), Some(component)) = (&arguments.manifest, &arguments.component) {
        let component = std::path::absolute(component)?;
        print!("{}", manifest(&component, memory));
        eprintln!("secrets.json beside it, unless the host is behind Dapr: {SECRETS}");
        return Ok(true);
    }
    let mut groups = groups()?;
    if let Some(word) = &arguments.filter {
        for group in &mut groups {
            let has = group.group.contains(word);
            group.cases.retain(|case| has || case.name.contains(word));
        }
        if groups.iter().all(|group| group.cases.is_empty()) {
            let names = groups.iter().map(|group| group.group.as_str()).collect::<Vec<_>>();
            bail!("no case has {word:?} in its name, and no group; the groups are {}", names.join(", "));
        }
    }
    let mut table = Table::default();
    match (&arguments.url, &arguments.admin) {
        (Some(app), Some(admin)) => {
            let target = Target::new(app, admin, arguments.token.clone())?;
            target.check().await?;
            let component = arguments.component.as_deref().map(read).transpose()?;
            table.add("host", try_all(&Runner::new(target, component), &groups).await);
        }
        _ => on_the_built_host(arguments, &groups, &mut table).await?,
    }
    println!("{table}");
    let failures = table.failures();
    failures.iter().for_each(|failure| eprintln!("\n{failure}"));
    Ok(failures.is_empty())
}

async fn on_the_built_host(arguments: &Arguments, groups: &[Group], table: &mut Table) -> anyhow::Result<()> {
    let is_wanted = |agent: &&Agent| arguments.agent.as_deref().is_none_or(|name| name == agent.name);
    let wanted = AGENTS.iter().filter(is_wanted).collect::<Vec<_>>();
    if wanted.is_empty() {
        let names = AGENTS.iter().map(|agent| agent.name).collect::<Vec<_>>();
        bail!("there is no such agent; there are {}", names.join(", "));
    }
    for agent in wanted {
        if let Some(outcomes) = try_on_built_host(agent, groups).await? {
            table.add(agent.name, outcomes);
        }
    }
    Ok(())
}
