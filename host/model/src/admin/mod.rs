//! The admin API: the bodies of its requests and answers, as they are on the wire.
//!
//! The server makes them and the operator's commands read them, so both have these types. They are in this crate
//! because the commands build without a server, and much of what an answer shows is of this crate already: the outbox,
//! the words of deployments. `openapi.json` of `daca-server` describes them, and a test there compares the two. The
//! names in it that differ are given with the types.
//!
//! A command may be older than its host. So it ignores fields that it does not know, and takes words that it does not
//! know as they are ([`Word`]). A host refuses unknown fields of a request: whoever sends one wants something that the
//! host would not do.
//!
//! Fields are not flattened, even where types share some: serde cannot read a flattened number if any crate of the
//! build turns on serde_json's `arbitrary_precision`.

mod change;
mod effects;
mod log_line;
mod state;
mod top;
mod versions;
mod word;

pub use change::{ChangeAnswer, PinRequest, RollbackRequest, VersionRequest};
pub use effects::{
    ActorEffects, EffectActor, EffectActors, EffectInfo, EffectState, EffectsAction, EffectsChange,
    EffectsChangeRequest, EffectsChanged, EffectsPage, EffectsRequest, NotDead,
};
pub use log_line::{LogLine, LogSpan};
pub use state::{
    ActivationInfo, Activations, AgentInfo, Agents, Effects, Health, HealthStatus, ServingVersion,
};
pub use top::{ActorTotals, PoolInfo, PoolShare, Top, TopActor, TopOrder, TopType};
pub use versions::{HostVersions, TypeVersions, VersionEvent, VersionInfo, VersionState, Versions};
pub use word::Word;

use serde::{Deserialize, Serialize};

/// The header of an upload with the text of the component's signature file.
pub const SIGNATURE_HEADER: &str = "daca-signature";
/// The header with the initiator of a change: a hint for colleagues, which proves nothing.
pub const INITIATOR_HEADER: &str = "daca-by";
/// The maximum length of an initiator in characters.
pub const MAX_INITIATOR: usize = 100;
/// The header of a refusal with its code.
pub const CODE_HEADER: &str = "daca-error";
/// The header of a backup that names the kept versions that are not in it.
pub const LEFT_OUT_HEADER: &str = "daca-left-out";

/// A refusal, of this API or of a route. `Error` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What went wrong, for people.
    pub detail: String,
    /// The stable code. Only a route answers without: with an error that is the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do, if the detail does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
