//! stub
use std::path::PathBuf;
use std::time::Duration;
/// Rules
#[derive(Debug, Clone)]
pub struct DeployRules {
    pub signers: Vec<()>,
    pub window: Duration,
    pub margin: u8,
    pub least_turns: u64,
    pub keep: usize,
    pub versions: Option<PathBuf>,
}
impl Default for DeployRules {
    fn default() -> Self {
        DeployRules {
            signers: vec![],
            window: Duration::from_secs(60),
            margin: 10,
            least_turns: 10,
            keep: 20,
            versions: None,
        }
    }
}
