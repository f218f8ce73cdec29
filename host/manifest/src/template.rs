//! Log lines with fields of a JSON document in them: `User {actor_id|unknown} sent '{input.content|nothing}'`.

use daca_base::json::Document;
use daca_base::telemetry::MAX_TEXT;

/// A line with placeholders for fields.
///
/// `{a.b}` is the field `b` of the field `a`, `{a.b|text}` the same with a default text for an absent field, and `{}`
/// the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { path: Vec<String>, default: String },
}

impl Template {
    /// Parses a template. The error describes the problem.
    ///
    /// ```
    /// let line = daca_manifest::Template::parse("Hello, {user.name|stranger}!").unwrap();
    /// let document = |text: &'static str| daca_base::json::Document::parse(&text.into()).unwrap();
    /// assert_eq!(line.render(&document(r#"{"user": {"name": "Ada"}}"#)), "Hello, Ada!");
    /// assert_eq!(line.render(&document(r#"{"user": {"name": null}}"#)), "Hello, stranger!");
    /// ```
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            let Some(close) = after.find('}') else {
                return Err(format!("the '{{' at {after:?} has no '}}'"));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (path, default) = match after[1..close].split_once('|') {
                Some((path, default)) => (path, default),
                None => (&after[1..close], ""),
            };
            let path = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            parts.push(Part::Field { path, default: default.to_owned() });
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { parts })
    }

    /// The line for a document. A string appears without its quotes, anything else as JSON. A field that is `null`
    /// counts as absent. What the log cuts anyway is mostly not written: of a long field only the beginning, and nothing
    /// behind it.
    pub fn render(&self, document: &Document) -> String {
        let mut line = String::new();
        for part in &self.parts {
            if line.len() >= MAX_TEXT {
                break;
            }
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Field { path, default } => {
                    let field =
                        path.iter().try_fold(document.clone(), |value, name| value.present_field(name));
                    match field {
                        Some(value) => line.push_str(&value.beginning(MAX_TEXT)),
                        None => line.push_str(default),
                    }
                }
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_document_makes_no_long_line() {
        let template = Template::parse("{a} {} {a}").expect("it is a template");
        let document = format!(r#"{{"a": "{}"}}"#, "ü".repeat(1_000_000));
        let line = template.render(&Document::parse(&document.into()).expect("it is JSON"));
        assert!(line.starts_with(&"ü".repeat(MAX_TEXT / 2)));
        assert!(line.len() < 20 * MAX_TEXT, "{}", line.len());
    }
}
