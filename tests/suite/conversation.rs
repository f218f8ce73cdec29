//! The ChatAgent in every language: each passes the same cases, which are every endpoint of the tutorial and the effects of
//! each message.
//!
//! The cases of a language run at once on one host, each on actors of its own. A case that fails hides no other.

mod agent;
mod broker;
mod effects;
mod requests;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use daca_tests::{chat_agent, folders, foreign_agent};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};

use agent::Agent;

/// A case, with its name.
type Case<'a> = (&'static str, LocalBoxFuture<'a, anyhow::Result<()>>);

macro_rules! case {
    ($case:path, $on:expr) => {
        (stringify!($case), $case($on).boxed_local())
    };
}

#[tokio::test]
async fn the_chat_agent_in_rust_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(Some(chat_agent())).await
}

#[tokio::test]
async fn the_chat_agent_as_a_script_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(Some(folders::root().join("guest/chat-agents/typescript/chat_agent.ts"))).await
}

#[tokio::test]
async fn the_chat_agent_in_typescript_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(foreign_agent("chat-typescript")?).await
}

#[tokio::test]
async fn the_chat_agent_in_python_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(foreign_agent("chat-python")?).await
}

#[tokio::test]
async fn the_chat_agent_in_go_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(foreign_agent("chat-go")?).await
}

#[tokio::test]
async fn the_chat_agent_in_c_passes_every_case() -> anyhow::Result<()> {
    passes_every_case(foreign_agent("chat-c")?).await
}

async fn passes_every_case(component: Option<PathBuf>) -> anyhow::Result<()> {
    // One that is left out has been named.
    let Some(component) = component else { return Ok(()) };
    let agent = Agent::start(&component).await?;
    let cases: [Case; 9] = [
        case!(requests::every_request_has_the_answer_of_the_table, &agent),
        case!(requests::the_last_five_entries_are_kept_with_every_field, &agent),
        case!(requests::numbers_of_unknown_fields_keep_every_digit, &agent),
        case!(requests::what_is_no_text_or_too_long_is_refused, &agent),
        case!(effects::a_message_sets_off_its_event_and_its_sms_and_the_log_says_so, &agent),
        case!(effects::the_setting_says_who_gets_the_sms, &agent),
        case!(effects::what_is_not_permitted_fails_no_turn_and_the_log_names_the_line_to_add, &agent),
        case!(effects::an_event_that_nobody_takes_fails_no_turn_and_is_never_called_published, &component),
        case!(broker::the_log_tells_what_arrived_from_the_broker, &agent),
    ];
    let ended = join_all(cases.map(|(name, case)| async move {
        match AssertUnwindSafe(case).catch_unwind().await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{name}: {error:?}")),
            // What it says is above.
            Err(_panic) => Some(format!("{name}: it panicked")),
        }
    }));
    let failed = ended.await.into_iter().flatten().collect::<Vec<_>>();
    anyhow::ensure!(failed.is_empty(), "{}: these cases fail:\n{}", component.display(), failed.join("\n"));
    Ok(())
}
