//! Routes and subscriptions: the requests and events that become calls to actors.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use daca_base::ErrorCode;
use daca_model::Topic;

use super::dead_letters::DeadLetterGraph;
use super::names::{self, Mistake};
use super::rate::Rate;
use super::reply::json_of;
use super::{AgentType, Problems, Template, file, limits, path};

/// An HTTP route: a request that becomes a call to an actor.
#[derive(Debug, Clone)]
pub struct Route {
    /// The request's method.
    pub method: http::Method,
    /// The path, with parameters in braces: `/chat/{actor_id}`.
    pub path: String,
    /// The call that it becomes.
    pub call: Call,
    /// The answer's JSON, in which the string `{reply}` is replaced by the reply; `None` answers the reply unchanged.
    pub reply: Option<serde_json::Value>,
    /// The detail of answers 400, in place of the reason, which then only goes to the log.
    pub invalid: Option<String>,
    /// The same for a body that is not JSON.
    pub malformed: Option<String>,
    /// How many requests of one caller it accepts.
    pub rate: Option<Rate>,
    /// A line for the log, made from the body, when a request arrives.
    pub log: Option<Template>,
}

/// A subscription: events of a topic arrive at a path, are logged, and may become calls to an actor.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The pub/sub component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// The path to which the events are posted.
    pub path: String,
    /// A line for the log, made from the event's data.
    pub log: Option<Template>,
    /// The call that an event becomes, if any. Its fields are those of the event's data.
    pub call: Option<Call>,
    /// The dead-letter topic for events that can never be handled; without one they are dropped.
    pub dead_letter: Option<Topic>,
    /// Attempts at an event whose agent fails or traps, before it is dead-lettered or given back to the broker.
    pub attempts: u32,
}

/// The mapping of a JSON document and a path to a call of an actor.
#[derive(Debug, Clone)]
pub struct Call {
    /// The agent type to call.
    pub agent_type: Arc<str>,
    /// The actor's method.
    pub method: String,
    /// The source of the actor's id.
    pub actor_id: ActorIdSource,
    /// The payload for the actor.
    pub payload: Payload,
}

/// The source of an actor's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActorIdSource {
    /// A parameter of the path.
    Path(String),
    /// A field of the document, with a default for an absent field.
    Field {
        /// The field's name.
        name: String,
        /// The default; without one, an absent field is the caller's error.
        default: Option<String>,
    },
}

/// The payload for an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The whole document.
    Body,
    /// One field of it. An absent field is the caller's error.
    Field(String),
    /// Nothing; the request's body is not read as JSON.
    Nothing,
}

/// Paths of Dapr's callbacks and of the host itself.
const RESERVED: [&str; 4] = ["/dapr", "/actors", "/healthz", "/readyz"];

pub(super) fn build(
    routes: Vec<file::Route>,
    subscriptions: Vec<file::Subscription>,
    agents: &BTreeMap<Arc<str>, Arc<AgentType>>,
    problems: &mut Problems<'_>,
) -> (Vec<Route>, Vec<Subscription>) {
    let mut builder = Builder {
        agents,
        problems,
        patterns: matchit::Router::new(),
        seen: BTreeMap::new(),
        dead_letters: DeadLetterGraph::default(),
    };
    let routes = routes.into_iter().filter_map(|route| builder.route(route)).collect();
    let subscriptions =
        subscriptions.into_iter().filter_map(|subscription| builder.subscription(subscription)).collect();
    builder.dead_letters.check(builder.problems);
    (routes, subscriptions)
}

struct Builder<'a, 'p> {
    agents: &'a BTreeMap<Arc<str>, Arc<AgentType>>,
    problems: &'a mut Problems<'p>,
    /// Every pattern so far, in the matcher that axum uses: a pattern that it rejects would panic there.
    patterns: matchit::Router<()>,
    /// The first position of each pair of pattern and method.
    seen: BTreeMap<String, BTreeMap<String, Range<usize>>>,
    dead_letters: DeadLetterGraph,
}

impl Builder<'_, '_> {
    fn route(&mut self, route: file::Route) -> Option<Route> {
        let method = self.method(&route.method);
        let path = self.path(&route.path, route.method.get_ref());
        let actor_id = self.actor_id(&route.actor_id, Some(route.path.get_ref()));
        let default_payload =
            if method == Some(http::Method::GET) { Payload::Nothing } else { Payload::Body };
        let payload = self.payload(route.payload, default_payload);
        if let (Some(Payload::Nothing), Some(ActorIdSource::Field { name, .. })) = (&payload, &actor_id) {
            let message =
                format!("the actor's id comes from the field {name:?}, but the payload is \"none\"");
            self.problems.push(ErrorCode::ManifestInvalidRoute, route.actor_id.span(), message, || {
                "take the id from the path, or the payload from the body".into()
            });
        }
        let agent_type = self.agent(&route.agent);
        let called = self.accept(route.call.span(), names::check("call", route.call.get_ref()));
        let log = self.template(route.log);
        let (rate, by) = (route.rate.as_ref(), route.rate_by.as_ref());
        let span = rate.or(by).map(toml::Spanned::span).unwrap_or_default();
        let text = |written: Option<&toml::Spanned<String>>| written.map(|text| text.get_ref().clone());
        let rate = self.accept(span, Rate::of(text(rate).as_deref(), text(by).as_deref()));
        let reply = route.reply.and_then(|reply| self.reply(&reply));
        called?;
        Some(Route {
            method: method?,
            path: path?,
            call: Call {
                agent_type: agent_type?,
                method: route.call.into_inner(),
                actor_id: actor_id?,
                payload: payload?,
            },
            reply,
            invalid: route.invalid,
            malformed: route.malformed,
            rate: rate?,
            log: log?,
        })
    }

    fn subscription(&mut self, subscription: file::Subscription) -> Option<Subscription> {
        let path = self.fixed_path(&subscription.path);
        let log = self.template(subscription.log);
        let span = subscription.pubsub.span();
        let call = match (subscription.agent, subscription.call, subscription.actor_id) {
            (None, None, None) => None,
            (Some(agent), Some(method), Some(actor_id)) => {
                self.accept(method.span(), names::check("call", method.get_ref()))?;
                Some(Call {
                    agent_type: self.agent(&agent)?,
                    method: method.into_inner(),
                    actor_id: self.actor_id(&actor_id, None)?,
                    payload: self.payload(subscription.payload, Payload::Body)?,
                })
            }
            _ => {
                let message = "a subscription that calls an actor names agent, call and actor-id".into();
                self.problems.push(ErrorCode::ManifestInvalidRoute, span, message, || {
                    "add the missing ones, or remove all three to only log the event".into()
                });
                return None;
            }
        };
        let (pubsub, topic) = (subscription.pubsub, subscription.topic);
        self.accept(pubsub.span(), names::check_component("pubsub", pubsub.get_ref()))?;
        self.accept(topic.span(), names::check("topic", topic.get_ref()))?;
        let (pubsub, topic) = (pubsub.into_inner(), topic.into_inner());
        let attempts = subscription.attempts;
        if let Some((message, help)) = limits::attempts_problem(attempts) {
            self.problems.push(ErrorCode::ManifestInvalidRoute, span, message, || help);
        }
        let dead_letter = self.dead_letter(subscription.dead_letter, &pubsub, &topic)?;
        Some(Subscription { pubsub, topic, path: path?, log: log?, call, dead_letter, attempts })
    }

    /// The template of the answer. `None` if it cannot be JSON.
    fn reply(&mut self, written: &toml::Spanned<toml::Value>) -> Option<serde_json::Value> {
        let checked = json_of(written.get_ref()).map_err(|reason| {
            let help = "use texts, numbers, booleans, lists and tables; \"{reply}\" is a value";
            (format!("reply: {reason}"), help.into())
        });
        self.accept(written.span(), checked)
    }

    /// The outer `None` means that it is invalid.
    fn dead_letter(
        &mut self,
        written: Option<toml::Spanned<String>>,
        pubsub: &str,
        topic: &str,
    ) -> Option<Option<Topic>> {
        let Some(written) = written else { return Some(None) };
        let checked = names::dead_letter(written.get_ref()).and_then(|letters| {
            match letters.pubsub == pubsub && letters.topic == topic {
                true => Err((
                    "dead-letter is the topic of the subscription itself".into(),
                    "name another topic".into(),
                )),
                false => Ok(letters),
            }
        });
        let letters = self.accept(written.span(), checked)?;
        self.dead_letters.add(pubsub, topic, &letters, written.span());
        Some(Some(letters))
    }

    /// A value that was checked; `None` after its mistake is reported.
    fn accept<T>(&mut self, span: Range<usize>, checked: Result<T, Mistake>) -> Option<T> {
        let report = |(message, help): Mistake| {
            self.problems.push(ErrorCode::ManifestInvalidRoute, span, message, || help);
        };
        checked.map_err(report).ok()
    }

    /// The path of a subscription: the broker knows no parameters.
    fn fixed_path(&mut self, path: &toml::Spanned<String>) -> Option<String> {
        let text = self.path(path, "POST")?;
        let checked = match text.contains('{') {
            true => Err((
                format!("{text:?} has a parameter, and events fill in none"),
                "write a fixed path; the actor's id comes from a field of the event".into(),
            )),
            false => Ok(text),
        };
        self.accept(path.span(), checked)
    }

    fn method(&mut self, method: &toml::Spanned<String>) -> Option<http::Method> {
        const SERVED: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        if SERVED.contains(&method.get_ref().as_str()) {
            return method.get_ref().parse().ok();
        }
        let message = format!("{:?} is not a method that a route can have", method.get_ref());
        self.problems.push(ErrorCode::ManifestInvalidRoute, method.span(), message, || {
            format!("use one of {}", SERVED.join(", "))
        });
        None
    }

    fn path(&mut self, path: &toml::Spanned<String>, method: &str) -> Option<String> {
        let (text, span) = (path.get_ref(), path.span());
        if let Some((message, help)) = path::problem(text) {
            self.problems.push(ErrorCode::ManifestInvalidRoute, span, message, || help);
            return None;
        }
        if let Some(reserved) = RESERVED.iter().find(|reserved| {
            text.strip_prefix(**reserved).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }) {
            let message = format!("{text:?} lies below {reserved}, which the host serves itself");
            self.problems
                .push(ErrorCode::ManifestInvalidRoute, span, message, || "choose another path".into());
            return None;
        }
        let methods = self.seen.entry(text.clone()).or_default();
        if let Some(first) = methods.get(method) {
            let first = self.problems.position(first.start).0;
            let message = format!("{method} {text} is defined twice: first in line {first}");
            self.problems.push(ErrorCode::ManifestDuplicateRoute, span, message, || {
                "remove one, or change its path".into()
            });
            return None;
        }
        let pattern_is_new = methods.is_empty();
        methods.insert(method.to_owned(), span.clone());
        if pattern_is_new && let Err(error) = self.patterns.insert(text.as_str(), ()) {
            let (code, message, help) = match error {
                matchit::InsertError::Conflict { with } => (
                    ErrorCode::ManifestDuplicateRoute,
                    format!("{text:?} answers the same requests as {with:?}"),
                    "give the same parameter the same name in every route, or change the path",
                ),
                _ => {
                    (ErrorCode::ManifestInvalidRoute, format!("{text:?} is not a path: {error}"), path::FORM)
                }
            };
            self.problems.push(code, span, message, || help.into());
            return None;
        }
        Some(text.clone())
    }

    fn agent(&mut self, name: &toml::Spanned<String>) -> Option<Arc<str>> {
        if let Some((agent_type, _)) = self.agents.get_key_value(name.get_ref().as_str()) {
            return Some(agent_type.clone());
        }
        let known = self.agents.keys().map(|name| name.as_ref()).collect::<Vec<_>>().join(", ");
        let message = format!("there is no agent type {:?}", name.get_ref());
        self.problems.push(ErrorCode::ManifestUnknownAgent, name.span(), message, || {
            format!("add a table [agents.{}], or name one of: {known}", name.get_ref())
        });
        None
    }

    /// `path` is `None` if there is no path to take an id from.
    fn actor_id(
        &mut self,
        source: &toml::Spanned<file::ActorId>,
        path: Option<&String>,
    ) -> Option<ActorIdSource> {
        let file::ActorId { path: parameter, field, default } = source.get_ref();
        if let (Some(name), None) = (field, parameter) {
            self.accept(source.span(), names::check("field", name))?;
            if let Some(default) = default
                && let Err(error) = daca_model::check_actor_id(default)
            {
                let message = format!("the default {default:?} is not an actor id: {error}");
                self.problems.push(ErrorCode::ManifestInvalidRoute, source.span(), message, || {
                    "choose another".into()
                });
                return None;
            }
            return Some(ActorIdSource::Field { name: name.clone(), default: default.clone() });
        }
        if let (Some(parameter), None, None, Some(path)) = (parameter, field, default, path) {
            if path.split('/').any(|segment| segment == format!("{{{parameter}}}")) {
                return Some(ActorIdSource::Path(parameter.clone()));
            }
            let message = format!("the path {path:?} has no parameter {{{parameter}}}");
            self.problems.push(ErrorCode::ManifestInvalidRoute, source.span(), message, || {
                format!("add {{{parameter}}} to the path, or take the id from a field")
            });
            return None;
        }
        self.problems.push(ErrorCode::ManifestInvalidRoute, source.span(), "this does not name the source of an id".into(), || {
            let from_path = if path.is_some() { "{ path = \"PARAMETER\" } or " } else { "" };
            format!("write {from_path}{{ field = \"FIELD\" }}, with default = \"ID\" beside the field if you like")
        });
        None
    }

    fn payload(
        &mut self,
        payload: Option<toml::Spanned<file::Payload>>,
        default: Payload,
    ) -> Option<Payload> {
        let Some(payload) = payload else { return Some(default) };
        let span = payload.span();
        match payload.into_inner() {
            file::Payload::Field { field } => {
                self.accept(span, names::check("field", &field))?;
                Some(Payload::Field(field))
            }
            file::Payload::Word(word) if word == "body" => Some(Payload::Body),
            file::Payload::Word(word) if word == "none" => Some(Payload::Nothing),
            file::Payload::Word(word) => {
                self.problems.push(
                    ErrorCode::ManifestInvalidRoute,
                    span,
                    format!("{word:?} is not a payload"),
                    || "write \"body\", \"none\" or { field = \"FIELD\" }".into(),
                );
                None
            }
        }
    }

    fn template(&mut self, text: Option<toml::Spanned<String>>) -> Option<Option<Template>> {
        let Some(text) = text else { return Some(None) };
        let checked = Template::parse(text.get_ref()).map_err(|error| {
            (format!("log line: {error}"), "write fields as {a.b} or {a.b|text when absent}".into())
        });
        self.accept(text.span(), checked).map(Some)
    }
}
