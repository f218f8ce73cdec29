//! An agent: one conversation for each actor.
//!
//! A call is one turn: state, events and reminders take effect together when the method returns `Ok`, and not at all when
//! it fails. Only `state` lasts.

use std::time::Duration;

use daca_sdk::{Failure, Schedule, agent, identity, log, pubsub, reminders, state};
use serde::{Deserialize, Serialize};

/// The messages of a conversation that are kept.
const KEPT: usize = 10;
/// A conversation is forgotten when nobody has said anything for this time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What a caller says.
#[derive(Debug, Deserialize)]
pub struct Said {
    content: String,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    role: String,
    content: String,
}

/// The event of an exchange.
#[derive(Serialize)]
struct Exchange<'a> {
    id: String,
    said: &'a Message,
    answer: &'a Message,
}

#[derive(Default)]
struct AgentName;

#[agent]
impl AgentName {
    /// Answers a message, and keeps both.
    pub fn say(&mut self, said: Said) -> Result<Message, Failure> {
        let (said, answer) = exchange(said)?;
        state::set("history", &kept(self.history()?, [&said, &answer]))?;
        let event = Exchange { id: identity::actor_id(), said: &said, answer: &answer };
        pubsub::publish("pubsub", "chat", &event)?;
        reminders::register("forget", Schedule::after(FORGOTTEN_AFTER), &())?;
        Ok(answer)
    }

    /// The kept messages, oldest first.
    pub fn history(&self) -> Result<Vec<Message>, Failure> {
        Ok(state::get("history")?.unwrap_or_default())
    }

    #[reminder]
    fn forget(&mut self, name: &str, _data: ()) -> Result<(), Failure> {
        log::info!("{name}: nobody has said anything for a day");
        state::delete("history")?;
        Ok(())
    }
}

/// A message and its answer.
fn exchange(Said { content }: Said) -> Result<(Message, Message), Failure> {
    if content.is_empty() {
        return Err(Failure::invalid("the message has no content"));
    }
    let answer = format!("Got your message: {content}");
    let message = |role: &str, content| Message { role: role.to_owned(), content };
    Ok((message("user", content), message("assistant", answer)))
}

/// The newest messages of a conversation to which some are added.
fn kept(mut history: Vec<Message>, new: [&Message; 2]) -> Vec<Message> {
    history.extend(new.into_iter().cloned());
    history.split_off(history.len().saturating_sub(KEPT))
}

/// These need no host. README.md says how the whole agent is tested.
#[cfg(test)]
mod tests {
    use super::*;

    fn said(content: &str) -> Said {
        Said { content: content.to_owned() }
    }

    #[test]
    fn a_message_is_answered() {
        let (said, answer) = exchange(said("Hi")).expect("it is valid");
        assert_eq!((said.role.as_str(), said.content.as_str()), ("user", "Hi"));
        assert_eq!((answer.role.as_str(), answer.content.as_str()), ("assistant", "Got your message: Hi"));
    }

    #[test]
    fn a_message_without_content_is_refused() {
        assert!(matches!(exchange(said("")), Err(Failure::Invalid(_))));
    }

    #[test]
    fn the_newest_messages_are_kept() {
        let mut history = Vec::new();
        for number in 0..KEPT {
            let (said, answer) = exchange(said(&number.to_string())).expect("it is valid");
            history = kept(history, [&said, &answer]);
        }
        assert_eq!(history.len(), KEPT);
        assert_eq!(history[KEPT - 2].content, (KEPT - 1).to_string());
    }
}
