//! Checks that the manifest of the pods says what that of the laptop says.

use crate::paths::root;

/// The lines that both must share: from the first agent type on, without its component and what builds it.
fn shared(path: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join(path))?;
    let lines = text.lines().skip_while(|line| !line.starts_with("[agents"));
    let lines = lines.take_while(|line| !line.starts_with("# `daca dev` runs"));
    let lines = lines.filter(|line| !line.starts_with("component = ") && !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn the_manifest_of_the_pods_is_that_of_the_laptop() -> anyhow::Result<()> {
    let pods = shared("k8s/base/agents.toml")?;
    assert!(pods.len() > 30, "{pods:#?}");
    assert_eq!(pods, shared("agents.toml")?);
    Ok(())
}
