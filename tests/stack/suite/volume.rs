//! Many messages, through everything.

use std::time::Instant;

use daca_stack::StackOptions;

use crate::support::{Chat, ledger_manifest, numbered};

const ACTORS: usize = 500;
const EACH: u64 = 20;

#[tokio::test]
async fn ten_thousand_messages_over_eight_partitions_are_all_handled_once_and_in_order() -> anyhow::Result<()>
{
    let options = StackOptions { topics: vec![("user-messages".to_owned(), 8)], ..StackOptions::default() };
    let chat = Chat::start_on(options, 1, &ledger_manifest("event", "")).await?;
    let actors = (0..ACTORS).map(|actor| format!("actor-{actor}")).collect::<Vec<_>>();
    let start = Instant::now();
    for number in 0..EACH {
        let message = async |actor: &String| chat.produce(Some(actor), &numbered(actor, number)).await;
        futures::future::try_join_all(actors.iter().map(message)).await?;
    }
    chat.until_committed().await?;
    let time = start.elapsed();

    let expected = (0..EACH).collect::<Vec<_>>();
    for actor in &actors {
        assert_eq!(chat.entries(0, actor).await?, expected, "{actor}");
    }
    let messages = f64::from(u32::try_from(ACTORS)?) * EACH as f64;
    println!("{messages} messages in {time:?}: {:.0} a second", messages / time.as_secs_f64());
    assert_eq!(chat.dead_letters().await?, Vec::<serde_json::Value>::new());
    Ok(())
}
