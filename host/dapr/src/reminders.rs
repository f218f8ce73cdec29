//! Reads reminders from the sidecar, and keeps one whose turn failed.
//!
//! The sidecar's gRPC API returns a reminder from Dapr 1.17 on; before, its HTTP API does. From 1.17 on the sidecar
//! also retries a failed firing according to the registration (`failure_policy`). Before, the scheduler tries four times
//! within three seconds, and a one-shot reminder is gone then. So the host registers it to repeat until its turn is done
//! ([`until_done`]), and shows it as what it is. [`Reminders::keep`] does so for one that others, or a host of an earlier
//! release, have registered, once its turn has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dapr::dapr::proto::runtime::v1 as proto;
use prost::Message as _;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::Code;

use super::connection::{Client, MAX_ANSWER};
use super::request::{STORE_TIMEOUT, within};
use super::wakeups::{self, ONCE_PERIOD, RETRY_DELAY, end_of, reminder_request, shown_reminder, until_done};
use super::{EndpointError, names, status};
use daca_base::json::Document;
use daca_model::ActorAddress;
use daca_model::backend::{Error, Registration, without_once_mark};

/// The type of registered data: JSON in bytes (`RegisterActorReminder` in `pkg/api/universal/actors.go`).
const BYTES: &str = "google.protobuf.BytesValue";

/// Reads reminders. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reminders {
    client: Client,
    http: reqwest::Client,
    /// The sidecar's HTTP API, as `http://HOST:PORT`.
    address: String,
    token: Option<SecretString>,
    /// The sidecar's gRPC API does not return reminders.
    lacks_grpc: Arc<AtomicBool>,
}

/// An existing reminder.
struct Shown {
    registration: Registration,
    /// Its end, in the sidecar's own format.
    ends: Option<String>,
    /// The identity of a one-shot reminder that repeats until its turn is done.
    once: Option<u128>,
}

impl Shown {
    fn new(registration: Registration, ends: Option<String>) -> Shown {
        let is_repeated = registration.period == Some(ONCE_PERIOD);
        match without_once_mark(&registration.data).filter(|_| is_repeated) {
            Some((id, data)) => {
                let registration = Registration { period: None, data, ..registration };
                Shown { registration, ends, once: Some(id) }
            }
            None => Shown { registration, ends, once: None },
        }
    }
}

impl Reminders {
    pub(super) fn new(
        client: Client,
        address: String,
        token: Option<SecretString>,
    ) -> Result<Reminders, EndpointError> {
        // A sidecar is never behind a proxy.
        let http = reqwest::Client::builder().no_proxy().build().map_err(EndpointError::Client)?;
        Ok(Reminders { client, http, address, token, lacks_grpc: Arc::default() })
    }

    /// The registration of a reminder.
    pub(super) async fn registration(
        &self,
        actor: &ActorAddress,
        name: &str,
    ) -> Result<Option<Registration>, Error> {
        Ok(self.shown(actor, name).await?.map(|shown| shown.registration))
    }

    /// The identity of a one-shot reminder that repeats until its turn is done.
    pub(super) async fn once(&self, actor: &ActorAddress, name: &str) -> Result<Option<u128>, Error> {
        Ok(self.shown(actor, name).await?.and_then(|shown| shown.once))
    }

    /// Registers a one-shot reminder again whose turn has failed, so that it fires again. Returns `true` if it did: one
    /// that repeats, or one that was unregistered in the meantime, is left alone.
    pub(super) async fn keep(&self, actor: &ActorAddress, name: &str) -> Result<bool, Error> {
        let Some(Shown { registration, ends, once }) = self.shown(actor, name).await? else {
            return Ok(false);
        };
        if registration.period.is_some() || once.is_some() {
            return Ok(false);
        }
        let again = until_done(&Registration { due: RETRY_DELAY, ..registration });
        let mut request = reminder_request(actor, name, &again);
        request.ttl = ends.unwrap_or(request.ttl);
        let mut client = self.client.clone();
        let kept = within(STORE_TIMEOUT, client.register_actor_reminder(request)).await;
        kept.map(|_| true).map_err(|status| status::error(&format!("{name:?} was not kept"), &status))
    }

    async fn shown(&self, actor: &ActorAddress, name: &str) -> Result<Option<Shown>, Error> {
        if !self.lacks_grpc.load(Ordering::Relaxed)
            && let Some(shown) = self.shown_by_grpc(actor, name).await?
        {
            return Ok(shown);
        }
        self.shown_by_http(actor, name).await
    }

    /// The outer `None` leaves the request to HTTP.
    async fn shown_by_grpc(&self, actor: &ActorAddress, name: &str) -> Result<Option<Option<Shown>>, Error> {
        let request = proto::GetActorReminderRequest {
            actor_type: actor.agent_type.to_string(),
            actor_id: names::segment(&actor.id),
            name: names::segment(name),
        };
        let mut client = self.client.clone();
        let answer = match within(STORE_TIMEOUT, client.get_actor_reminder(request)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status::is_unknown_method(&status) => {
                self.lacks_grpc.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            Err(status) if status.code() == Code::NotFound => return Ok(Some(None)),
            Err(status) => return Err(status::error("the reminder could not be read", &status)),
        };
        let data = answer.data.unwrap_or_default();
        // HTTP shows data of other types, which others have registered, as JSON.
        if !data.type_url.is_empty() && !data.type_url.ends_with(BYTES) {
            return Ok(None);
        }
        let Ok(data) = Vec::<u8>::decode(&*data.value) else { return Ok(None) };
        let data = if data.is_empty() { Ok(None) } else { Document::parse(&data.into()).map(Some) };
        let Ok(data) = data else { return Ok(None) };
        let text = |text: Option<String>| text.unwrap_or_default();
        let (due, period, ttl) = (text(answer.due_time), text(answer.period), text(answer.ttl));
        let registration = wakeups::registration(&due, &period, &ttl, data.as_ref())?;
        let ends = Some(ttl).filter(|ttl| !ttl.is_empty());
        Ok(Some(registration.map(|registration| Shown::new(registration, ends))))
    }

    async fn shown_by_http(&self, actor: &ActorAddress, name: &str) -> Result<Option<Shown>, Error> {
        let segment = |name: &str| {
            percent_encoding::utf8_percent_encode(&names::segment(name), percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let url = format!(
            "{}/v1.0/actors/{}/{}/reminders/{}",
            self.address,
            actor.agent_type,
            segment(&actor.id),
            segment(name)
        );
        let mut request = self.http.get(url).timeout(STORE_TIMEOUT);
        if let Some(token) = &self.token {
            request = request.header("dapr-api-token", token.expose_secret());
        }
        let unreachable =
            |error: reqwest::Error| Error::Unavailable(format!("the sidecar's HTTP API: {error}"));
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::Other(format!("the reminder has more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let body = bytes::Bytes::from(body);
        let text = String::from_utf8_lossy(&body);
        if status == http::StatusCode::NO_CONTENT
            || status == http::StatusCode::NOT_FOUND
            || body.is_empty()
            || (!status.is_success() && text.contains("not found"))
        {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Error::Unavailable(format!(
                "the reminder could not be read: {}",
                daca_base::telemetry::shortened(&text)
            )));
        }
        let shown = Document::parse(&body).map_err(|error| {
            Error::Other(format!("the sidecar returned the reminder in an unknown format: {error}"))
        })?;
        let registration = shown_reminder(&shown)?;
        Ok(registration.map(|registration| Shown::new(registration, end_of(&shown))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use parking_lot::Mutex;
    use tonic::Status;

    use super::super::{connection, fake};
    use super::*;

    /// A one-shot reminder that repeats until its turn is done, as 1.16 shows it: with the identity 1 and the data `hi`.
    const REPEATS_UNTIL_DONE: &str =
        r#"{"dueTime":"1s","period":"@every 10s","data":"/2RhY2E6b25jZToAAAAAAAAAAAAAAAAAAAABaGk="}"#;

    /// The answer of a sidecar before 1.17 to a method that it does not have.
    fn unknown() -> Result<Vec<u8>, Status> {
        Err(Status::unknown(
            "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found",
        ))
    }

    fn shown(period: Option<&str>, ttl: Option<&str>) -> Vec<u8> {
        let value = Bytes::from_static(b"\"aGk=\"").encode_to_vec();
        proto::GetActorReminderResponse {
            due_time: Some("250ms".into()),
            period: period.map(str::to_owned),
            ttl: ttl.map(str::to_owned),
            data: Some(prost_types::Any { type_url: format!("type.googleapis.com/{BYTES}"), value }),
            ..Default::default()
        }
        .encode_to_vec()
    }

    /// The registrations that a sidecar got.
    type Registered = Arc<Mutex<Vec<proto::RegisterActorReminderRequest>>>;

    /// The reminders of a sidecar that answers so when it is asked for one over gRPC, and another text over HTTP.
    async fn reminders(
        grpc: fn() -> Result<Vec<u8>, Status>,
        http: &'static str,
    ) -> anyhow::Result<(Reminders, Registered)> {
        let registered = Registered::default();
        let seen = registered.clone();
        let address = fake::sidecar(move |method, message| match method {
            "GetActorReminder" => grpc(),
            "RegisterActorReminder" => {
                let request = proto::RegisterActorReminderRequest::decode(message)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?;
                seen.lock().push(request);
                Ok(Vec::new())
            }
            other => Err(Status::unimplemented(other)),
        })
        .await?;
        let (client, _) = connection::client(&address, None)?;
        Ok((Reminders::new(client, fake::http(http).await?, None)?, registered))
    }

    fn registered(registered: &Registered) -> Vec<proto::RegisterActorReminderRequest> {
        registered.lock().clone()
    }

    #[tokio::test]
    async fn a_reminder_is_read_over_grpc_and_where_there_is_no_such_method_over_http() -> anyhow::Result<()>
    {
        let actor = "A/a".parse()?;
        let over_http = r#"{"dueTime":"1s","period":"","data":"aGk="}"#;
        let (reminders, _) = reminders(|| Ok(shown(Some("@every 5s"), None)), over_http).await?;
        let read = reminders.registration(&actor, "r").await?.expect("it is there");
        assert_eq!((read.due, read.period), (Duration::from_millis(250), Some(Duration::from_secs(5))));
        assert_eq!(&read.data[..], b"hi");
        for (grpc, expected) in [
            (unknown as fn() -> _, Some(Duration::from_secs(1))),
            (|| Err(Status::unimplemented("no")), Some(Duration::from_secs(1))),
            (|| Err(Status::not_found("no reminder")), None),
        ] {
            let (reminders, _) = super::tests::reminders(grpc, over_http).await?;
            for _ in 0..2 {
                let read = reminders.registration(&actor, "r").await?;
                assert_eq!(read.map(|read| read.due), expected);
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_reminder_that_repeats_until_it_is_done_is_shown_as_one_that_fires_once() -> anyhow::Result<()>
    {
        let actor = "A/a".parse()?;
        let (reminders, _) = reminders(unknown, REPEATS_UNTIL_DONE).await?;
        let read = reminders.registration(&actor, "r").await?.expect("it is there");
        assert_eq!((read.due, read.period, &read.data[..]), (Duration::from_secs(1), None, &b"hi"[..]));
        assert_eq!(reminders.once(&actor, "r").await?, Some(1));
        Ok(())
    }

    #[tokio::test]
    async fn a_reminder_that_fires_once_is_registered_anew_and_no_other() -> anyhow::Result<()> {
        let actor = "A/a".parse()?;
        let over_http = r#"{"dueTime":"1s","data":"aGk=","expirationTime":"2100-01-01T00:00:00Z"}"#;
        let (once, seen) = reminders(unknown, over_http).await?;
        assert!(once.keep(&actor, "r").await?);
        let request = registered(&seen).pop().expect("it was registered");
        assert_eq!((&*request.name, &*request.due_time, &*request.period), ("r", "5000ms", "10000ms"));
        let (_, data) = without_once_mark(&request.data.into()).expect("it repeats until it is done");
        assert_eq!((&data[..], &*request.ttl), (&b"hi"[..], "2100-01-01T00:00:00Z"));
        for (grpc, over_http) in [
            (unknown as fn() -> _, REPEATS_UNTIL_DONE),
            (unknown, r#"{"dueTime":"1s","period":"@every 1s"}"#),
            (unknown, "{}"),
            (|| Ok(shown(Some("@every 5s"), None)), "{}"),
            (|| Err(Status::not_found("no reminder")), "{}"),
        ] {
            let (other, seen) = reminders(grpc, over_http).await?;
            assert!(!other.keep(&actor, "r").await?);
            assert_eq!(registered(&seen), []);
        }
        Ok(())
    }
}
