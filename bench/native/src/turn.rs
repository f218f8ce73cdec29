//! A turn in memory: the component in a live instance against the same logic compiled natively.

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use daca_model::backend::{ActorCall, TurnCommit};
use daca_runtime::actor::Actors;
use daca_runtime::scheduler::GuestScheduler;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::chat_agent::ChatAgent;
use crate::common::Common;
use crate::host::{FEW, LiveActor, Parts, address};

const ACTOR: &str = "user-1";
const MESSAGE: &str = r#"{"role":"user","content":"How are you today?"}"#;
/// Turns in one batch.
const BATCH: u32 = 500;
/// Actors that have one turn each in a batch: the memory of the next one has left the processor's caches.
const MANY: usize = BATCH as usize;
/// Messages after which the history has its full length.
const FULL: usize = 4;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Only run turns of one kind, as many as --count says, for a tool that counts instructions
    #[arg(long, value_enum, requires = "count")]
    only: Option<Kind>,
    /// How many turns
    #[arg(long)]
    count: Option<u32>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Native,
    Component,
}

/// Measures, and prints the times in nanoseconds.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let (Some(kind), Some(count)) = (arguments.only, arguments.count) {
        return only(&runtime, arguments, kind, count);
    }
    let parts = runtime.block_on(Parts::new(&arguments.common.component, FEW + MANY))?;
    runtime.block_on(check_same(&parts))?;
    let mut native = ChatAgent::new(ACTOR, None);
    let mut component = runtime.block_on(parts.live(ACTOR))?;
    let mut many_native = (0..MANY).map(|number| ChatAgent::new(&many(number), None)).collect::<Vec<_>>();
    let mut many_components = Vec::new();
    for number in 0..MANY {
        many_components.push(runtime.block_on(parts.live(&many(number)))?);
    }
    let actors = runtime.block_on(async { parts.actors(GuestScheduler::on_runtime()) });
    let on_threads = runtime.block_on(async { anyhow::Ok(parts.actors(parts.guest_threads()?)) })?;
    let [mut natives, mut components, mut spread_natives, mut spread_components, mut calls, mut handed_over] =
        [(); 6].map(|()| Vec::new());
    let end = Instant::now() + arguments.common.time();
    while Instant::now() < end {
        natives.push(timed(|| native_turns(&mut native, BATCH))?);
        components.push(timed(|| runtime.block_on(component_turns(&parts, &mut component, BATCH)))?);
        spread_natives.push(timed(|| many_native.iter_mut().try_for_each(|actor| native_turns(actor, 1)))?);
        spread_components.push(timed(|| {
            many_components
                .iter_mut()
                .try_for_each(|actor| runtime.block_on(component_turns(&parts, actor, 1)))
        })?);
        calls.push(timed(|| runtime.block_on(whole_turns(&actors)))?);
        handed_over.push(timed(|| runtime.block_on(whole_turns(&on_threads)))?);
    }
    let all = [natives, components, spread_natives, spread_components, calls, handed_over];
    let [native, component, spread_native, spread_component, calls, handed_over] = all.map(|mut times| {
        times.sort_by(f64::total_cmp);
        (times.first().copied().unwrap_or_default(), times.get(times.len() / 2).copied().unwrap_or_default())
    });
    println!(
        "{}",
        json!({
            "native_ns": native.0,
            "native_median_ns": native.1,
            "component_ns": component.0,
            "component_median_ns": component.1,
            "spread_native_ns": spread_native.0,
            "spread_native_median_ns": spread_native.1,
            "spread_component_ns": spread_component.0,
            "spread_component_median_ns": spread_component.1,
            "actors": MANY,
            "actors_call_ns": calls.0,
            "handed_over_ns": handed_over.0,
        })
    );
    Ok(())
}

fn only(runtime: &Runtime, arguments: &Arguments, kind: Kind, count: u32) -> anyhow::Result<()> {
    match kind {
        Kind::Native => native_turns(&mut ChatAgent::new(ACTOR, None), count),
        Kind::Component => runtime.block_on(async {
            let parts = Parts::new(&arguments.common.component, FEW).await?;
            let mut actor = parts.live(ACTOR).await?;
            component_turns(&parts, &mut actor, count).await
        }),
    }
}

fn many(number: usize) -> String {
    format!("many-{number}")
}

/// Nanoseconds of one turn of a batch.
fn timed(batch: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    batch()?;
    Ok(start.elapsed().as_nanos() as f64 / f64::from(BATCH))
}

fn native_turns(actor: &mut ChatAgent, count: u32) -> anyhow::Result<()> {
    for _ in 0..count {
        native_turn(actor, MESSAGE)?;
    }
    Ok(())
}

fn native_turn(actor: &mut ChatAgent, message: &str) -> anyhow::Result<(Bytes, TurnCommit)> {
    let done = actor.process_message(message.as_bytes()).map_err(anyhow::Error::msg)?;
    actor.apply(done.commit.writes.clone());
    Ok((done.reply, done.commit))
}

async fn component_turns(parts: &Parts, actor: &mut LiveActor, count: u32) -> anyhow::Result<()> {
    for _ in 0..count {
        parts.turn(actor, Bytes::from_static(MESSAGE.as_bytes())).await?;
    }
    Ok(())
}

/// One batch, through the host's table, queue and commit.
async fn whole_turns(actors: &Actors) -> anyhow::Result<()> {
    for _ in 0..BATCH {
        let (actor, method) = (address(ACTOR)?, "ProcessMessage".to_owned());
        let call = ActorCall { actor, method, payload: Bytes::from_static(MESSAGE.as_bytes()) };
        actors.call_here(call, Default::default()).await?;
    }
    Ok(())
}

/// Both must do the same, or a comparison of their times would say nothing.
async fn check_same(parts: &Parts) -> anyhow::Result<()> {
    let messages = [
        r#"{"role":"user","content":"Hi"}"#,
        r#"{"role":"user","content":"Grüße, \"quoted\" \\ and 日本語","more":[1,2.50,null]}"#,
        r#"{"content":"first","role":"system"}"#,
    ];
    let mut native = ChatAgent::new(ACTOR, None);
    let mut component = parts.live(ACTOR).await?;
    for message in messages.iter().cycle().take(messages.len() + FULL) {
        let ours = parts.turn(&mut component, Bytes::from_static(message.as_bytes())).await?;
        let theirs = native_turn(&mut native, message)?;
        let [ours, theirs] = [ours, theirs].map(|(reply, commit)| format!("{reply:?}\n{commit:#?}"));
        // What `activate` writes comes with the first turn, and is overwritten in it.
        ensure!(ours == theirs, "the component and the native logic differ on {message}:\n{ours}\n{theirs}");
    }
    Ok(())
}
