//! Names of things outside the manifest: components and topics of Dapr, methods, fields, secrets.
//!
//! Whether they exist cannot be known here. But a name that nothing can have is a mistake, which is better found now than
//! by the first request.

use std::path::Path;

use daca_model::Topic;

/// The maximum length of a name in bytes. The longest that a broker takes are a few hundred bytes long.
const MAX_NAME: usize = 1024;

/// What is wrong with a name, and what to do.
pub(super) type Mistake = (String, String);

/// Checks any name. `what` says in a message what it names.
pub(super) fn check(what: &str, name: &str) -> Result<(), Mistake> {
    if name.is_empty() {
        return Err((format!("{what} is empty"), "write the name".into()));
    }
    if name.len() > MAX_NAME {
        let message = format!("{what} has {} bytes; the maximum is {MAX_NAME}", name.len());
        return Err((message, "write a shorter name".into()));
    }
    if let Some(character) = name.chars().find(|character| character.is_control()) {
        let message = format!("{what} is {name:?}, which has the control character {character:?}");
        return Err((message, "write the name without it".into()));
    }
    if name.trim() != name {
        let message = format!("{what} is {name:?}, which begins or ends with white space");
        return Err((message, "write the name without it".into()));
    }
    Ok(())
}

/// Checks the name of a component of Dapr. A `/` separates it from a topic or an operation.
pub(super) fn check_component(what: &str, name: &str) -> Result<(), Mistake> {
    check(what, name)?;
    if name.contains(['/', '*']) {
        let message = format!("{what} is {name:?}, and no component has '/' or '*' in its name");
        return Err((message, "write the metadata.name of a component".into()));
    }
    Ok(())
}

/// Checks a topic to publish to. The wildcards of the brokers (`*`; `+` and `#` of MQTT) are for subscriptions alone.
pub(super) fn check_published(what: &str, topic: &str) -> Result<(), Mistake> {
    check(what, topic)?;
    if let Some(wildcard) = topic.chars().find(|character| matches!(character, '*' | '+' | '#')) {
        let message = format!("{what} is {topic:?}, and nobody can publish to the wildcard {wildcard:?}");
        return Err((message, "write the whole name of one topic".into()));
    }
    Ok(())
}

/// Parses the topic of dead letters.
pub(super) fn dead_letter(text: &str) -> Result<Topic, Mistake> {
    check("dead-letter", text)?;
    let Some(topic) = Topic::parse(text) else {
        let message = format!("dead-letter: {text:?} does not have two parts");
        return Err((message, "write it as \"PUBSUB/TOPIC\"".into()));
    };
    check_component("the component of dead-letter", &topic.pubsub)?;
    check_published("the topic of dead-letter", &topic.topic)?;
    Ok(topic)
}

/// Checks the path of a file or folder. An empty one would be the manifest's folder.
pub(super) fn check_path(what: &str, path: &Path) -> Result<(), Mistake> {
    let text = path.to_string_lossy();
    if text.is_empty() {
        return Err((format!("{what} is empty"), "write a path".into()));
    }
    if text.contains(char::is_control) {
        return Err((
            format!("{what} is {text:?}, which has a control character"),
            "write another path".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such a name would look right in a report, and fail at the first request.
    #[test]
    fn a_name_that_nothing_can_have_is_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", " ", " a", "a\n", "a\0b", "\u{1b}[2J", &long] {
            let (message, help) = check("call", name).expect_err(name);
            assert!(message.starts_with("call ") && message.len() < 200 && !help.is_empty(), "{message}");
        }
        for name in ["a", "my method", "ü", "a.b/c", &long[1..]] {
            assert_eq!(check("call", name), Ok(()), "{name:?}");
        }
        assert!(check_component("pubsub", "a/b").is_err() && check_component("pubsub", "*").is_err());
        assert_eq!(check_component("pubsub", "daca-pubsub"), Ok(()));
    }

    /// Every dead letter would be lost.
    #[test]
    fn dead_letters_go_to_one_topic() {
        assert!(dead_letter("p/a.b-c/d").is_ok());
        for (text, word) in [
            ("p/*", "wildcard"),
            ("p/a/#", "wildcard"),
            ("p/+/a", "wildcard"),
            ("*/t", "component"),
            ("letters", "two parts"),
            ("p/", "two parts"),
            ("p/ t", "white space"),
            ("", "empty"),
        ] {
            let (message, _) = dead_letter(text).expect_err(text);
            assert!(message.contains(word), "{text:?}: {message}");
        }
    }
}
