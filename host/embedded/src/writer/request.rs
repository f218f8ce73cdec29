//! What the writing thread is asked for.

use daca_base::shares::SharePermit;
use daca_model::ActorAddress;
use daca_model::backend::Error;
use tokio::sync::oneshot;

use crate::transaction::{LastingParts, ScheduleChange};

/// A request to the writer.
pub(crate) enum Request {
    Commit(CommitRequest),
    /// Everything in the file is compared with its checksums.
    Compare(oneshot::Sender<Result<(), Error>>),
    /// Everything before it is on disk and the file is closed when the answer arrives.
    Close(oneshot::Sender<()>),
}

/// A turn to make durable, and the channel for its result.
pub(crate) struct CommitRequest {
    pub(crate) actor: ActorAddress,
    pub(crate) turn: LastingParts,
    /// Its bytes.
    pub(crate) bytes: usize,
    /// The handle on the turn goes back with its result, so that who has made the commit has it for himself again.
    pub(crate) done: oneshot::Sender<(Committed, LastingParts)>,
    /// Its place among the commits that wait.
    pub(crate) _waits: SharePermit,
}

/// The result of a turn in its transaction. The error rejects it alone.
pub(crate) type Committed = Result<Vec<ScheduleChange>, Error>;
