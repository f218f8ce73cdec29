//! `daca logs`: the last lines of a host's log, of all of it, an agent type or an actor, and new ones.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};

use reqwest::Method;

use super::Form;
use super::admin::{self, ANSWER_TIMEOUT, Admin, Error, causes};
use daca_base::json;
use daca_base::telemetry::printable;
use daca_model::admin::{LogLine, LogSpan};

/// The maximum length of a line in bytes; a host writes shorter ones.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// The arguments of the command.
pub struct LogRequest<'a> {
    /// An agent type or an actor, as `TYPE` or `TYPE/ID`; `None` for every line.
    pub of: Option<&'a str>,
    /// The maximum number of past lines.
    pub limit: usize,
    /// `true` to show new lines as well.
    pub follow: bool,
}

/// Writes the lines to `output`. With `follow` it continues until the host ends, which is an error, or nobody reads any
/// more.
pub async fn logs(
    admin: &Admin,
    request: &LogRequest<'_>,
    form: Form,
    output: &mut impl Write,
) -> Result<(), Error> {
    let question = admin.open(admin.request(Method::GET, &path(request)?));
    let mut response = admin.within(ANSWER_TIMEOUT, question).await?;
    let ended = |reason: String| if request.follow { Err(Error::HostEnded(reason)) } else { Ok(()) };
    let mut buffer = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => buffer.extend_from_slice(&chunk),
            Ok(None) if !buffer.is_empty() && !request.follow => {
                return Err(Error::Answer("it ends within a line".to_owned()));
            }
            Ok(None) => return ended("the host has shut down, and sends no more lines".to_owned()),
            Err(error) if request.follow => {
                return ended(format!("the connection broke: {}", causes(&error)));
            }
            Err(error) => return Err(admin.unreachable(error)),
        }
        match write_lines(&mut buffer, form, output) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result.map_err(Error::Output)?,
        }
        if buffer.len() > MAX_LINE {
            return Err(Error::Answer("a line has no end".to_owned()));
        }
    }
}

fn path(request: &LogRequest<'_>) -> Result<String, Error> {
    let (agent_type, id) = match request.of {
        Some(actor) if actor.contains('/') => {
            let actor = admin::actor(actor)?;
            (Some(actor.agent_type.to_string()), Some(actor.id.to_string()))
        }
        name => (name.map(str::to_owned), None),
    };
    let limit = request.limit.to_string();
    let query = [
        ("type", agent_type.as_deref()),
        ("id", id.as_deref()),
        ("limit", Some(&*limit)),
        ("follow", request.follow.then_some("true")),
    ];
    Ok(admin::path(&["logs"], &query))
}

/// Writes the complete lines, and keeps the beginning of the next one.
fn write_lines(buffer: &mut Vec<u8>, form: Form, output: &mut impl Write) -> std::io::Result<()> {
    let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
    let whole = buffer.drain(..=end).collect::<Vec<_>>();
    // An empty line only shows that the host is alive.
    for line in String::from_utf8_lossy(&whole).lines().filter(|line| !line.is_empty()) {
        match form {
            Form::Json => writeln!(output, "{line}")?,
            Form::Text => writeln!(output, "{}", for_people(line))?,
        }
    }
    output.flush()
}

/// Time, level, actor, turn, component and text. A line outside a turn has its origin in the host instead of turn and
/// component.
fn for_people(line: &str) -> String {
    let Ok(line) = json::read::<LogLine>(line.as_bytes()) else {
        return printable(line).into_owned();
    };
    let target = line.target.unwrap_or_default();
    let about = match (line.span, line.agent_type, line.actor_id) {
        (Some(LogSpan { agent_type, actor_id, turn, component }), ..) => {
            format!("{agent_type}/{} {turn} {component}", quoted(&actor_id))
        }
        (None, Some(agent_type), Some(id)) => format!("{agent_type}/{} {target}:", quoted(&id)),
        (None, Some(agent_type), None) => format!("{agent_type} {target}:"),
        (None, None, _) => format!("{target}:"),
    };
    let code = line.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let text = format!("{} {:>5} {about} {}{code}", line.timestamp, line.level, line.message);
    printable(&text).into_owned()
}

/// An id with spaces may look like the rest of a line.
fn quoted(id: &str) -> Cow<'_, str> {
    if id.contains(char::is_whitespace) { format!("{id:?}").into() } else { id.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines come cut anywhere, and what agents write into them must neither forge a line nor command a terminal.
    #[test]
    fn lines_are_put_together_and_told() -> std::io::Result<()> {
        let turn = r#""span":{"agent_type":"ChatAgent","actor_id":"user1","turn":"ab-1","component":"3f2a91bc0d1e","name":"turn"}"#;
        let line =
            format!(r#"{{"timestamp":"T","level":"INFO","message":"Hi \u001b[2J","target":"agent",{turn}}}"#);
        let forged = line.replace("user1", "a ab-2 fake");
        let host = r#"{"timestamp":"T","level":"WARN","message":"full","code":"host-busy","target":"daca"}"#;
        let outside = r#"{"timestamp":"T","level":"INFO","message":"came again","target":"daca","agent_type":"ChatAgent","actor_id":"user1"}"#;
        let text = format!("{line}\n\n{forged}\n{host}\n{outside}\n");
        for cut in [1, 70, line.len(), text.len() - 1] {
            let (mut buffer, mut output) = (text.as_bytes()[..cut].to_vec(), Vec::new());
            write_lines(&mut buffer, Form::Text, &mut output)?;
            buffer.extend_from_slice(&text.as_bytes()[cut..]);
            write_lines(&mut buffer, Form::Text, &mut output)?;
            let expected = "\
T  INFO ChatAgent/user1 ab-1 3f2a91bc0d1e Hi \\u{1b}[2J
T  INFO ChatAgent/\"a ab-2 fake\" ab-1 3f2a91bc0d1e Hi \\u{1b}[2J
T  WARN daca: full [host-busy]
T  INFO ChatAgent/user1 daca: came again
";
            assert_eq!(String::from_utf8_lossy(&output), expected, "cut at {cut}");
            assert!(buffer.is_empty());
        }
        Ok(())
    }
}
