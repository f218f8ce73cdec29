//! `GET /top`: what the agent types use, as it changes, and the actors that use most.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::admin_state::{AdminState, DEFAULT_LIMIT};
use super::answer::HttpError;
use super::json_answer::Json;
use daca_base::ErrorCode;
use daca_base::clock::{Clock, millis};
use daca_base::shares::{ShareUse, SharedPool};
use daca_model::CallError;
use daca_model::admin::{PoolInfo, PoolShare, Top, TopOrder, TopType};
use daca_runtime::actor::{AgentLoad, TopFound, TopWanted};

/// The actors in an answer, unless `?actors=` overrides it.
const ACTORS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopQuery {
    actors: Option<usize>,
    #[serde(rename = "type")]
    agent_type: Option<Arc<str>>,
    by: Option<TopOrder>,
}

pub(super) async fn top(
    State(state): State<AdminState>,
    query: Result<Query<TopQuery>, QueryRejection>,
) -> Result<Json<Top>, HttpError> {
    let query = query.map_err(|error| HttpError::new(ErrorCode::QueryInvalid, error.body_text()))?;
    let TopQuery { actors, agent_type, by } = query.0;
    check_type(&state, agent_type.as_deref())?;
    let limit = actors.unwrap_or(ACTORS).min(DEFAULT_LIMIT);
    let wanted = TopWanted { agent_type, by: by.unwrap_or_default(), limit };
    let (clock, looked) = (Clock::of_process().monotonic(), state.actors.clone());
    let look = tokio::task::spawn_blocking(move || looked.top(&wanted, clock));
    let TopFound { since, actors, loads } = look.await.map_err(|_ended| CallError::Internal)?;
    let pools = state.pools();
    Ok(Json(Top {
        clock_ms: millis(clock),
        since_ms: millis(since),
        types: types(&state, &pools, &loads),
        actors,
        pools: pools.iter().map(pool).collect(),
    }))
}

/// Refuses a type that this host does not have.
fn check_type(state: &AdminState, agent_type: Option<&str>) -> Result<(), HttpError> {
    let Some(name) = agent_type else { return Ok(()) };
    let is_known = state.actors.agents().iter().any(|(runtime, _)| *runtime.agent.name == *name);
    if is_known { Ok(()) } else { Err(CallError::UnknownAgentType(name.to_owned()).into()) }
}

fn types(state: &AdminState, pools: &[SharedPool], loads: &HashMap<Arc<str>, AgentLoad>) -> Vec<TopType> {
    let logged = state.actors.log_uses().into_iter().map(|of| (of.agent_type, of.total));
    let logged = logged.collect::<HashMap<_, _>>();
    let mut held_back = HashMap::<_, Vec<String>>::new();
    for pool in pools {
        for of in pool.uses().into_iter().filter(|of| of.is_held_back) {
            held_back.entry(of.agent_type).or_default().push(pool.name().to_owned());
        }
    }
    let types = state.actors.agents().into_iter().map(|(runtime, statistics)| {
        let name = &runtime.agent.name;
        let load = loads.get(name).copied().unwrap_or_default();
        let Measured { processor_ms, memory } = measured(state, name);
        TopType {
            agent_type: name.to_string(),
            weight: runtime.agent.share.weight,
            processor_ms,
            memory,
            turns: statistics.counted.turns,
            active: load.active,
            queued: load.queued,
            instances: load.instances,
            log_bytes: logged.get(name).copied().unwrap_or_default(),
            storage: state.actors.storage_of(name),
            held_back: held_back.remove(name).unwrap_or_default(),
        }
    });
    types.collect()
}

/// What is measured, and not shared in a pool.
struct Measured {
    processor_ms: Option<u64>,
    memory: Option<u64>,
}

/// The one place in which the processor time and the memory of a type are asked for.
fn measured(state: &AdminState, agent_type: &str) -> Measured {
    let processor_ms = Some(millis(state.actors.processor_use(agent_type).used));
    let accounts = state.actors.memory().accounts();
    let own = accounts.iter().filter(|account| account.agent_type.as_deref() == Some(agent_type));
    Measured { processor_ms, memory: Some(own.map(|account| account.bytes).sum()) }
}

fn pool(pool: &SharedPool) -> PoolInfo {
    let share = |of: ShareUse| PoolShare {
        agent_type: of.agent_type.to_string(),
        used: of.used,
        share: of.share,
        most: of.most,
        waiting: of.waiting,
        held_back: of.held_back,
    };
    PoolInfo {
        name: pool.name().to_owned(),
        capacity: pool.capacity(),
        types: pool.uses().into_iter().map(share).collect(),
    }
}
