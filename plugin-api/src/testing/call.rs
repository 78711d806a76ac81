//! The call that a test lends to hooks: how to build it, and how to read it back. The accessors are
//! in `call/access`, the JSON body in `call/body`.

mod access;
mod body;
pub(super) mod caller;
#[cfg(test)]
mod tests;

pub(super) use super::headers::{OWNED, is_header_name, is_header_value, set_header};
use super::{Outcome, StreamedReply, headers::find, reply_stream::MockStream};
use crate::{Endpoint, Rejection, Reply, ReplyStream, Route, abi::Verdict};
use body::Body;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, time::Duration};

/// A call without a gateway. Reads and edits have the same meaning as in production.
/// [`deployment`](Self::deployment) and [`provider`](Self::provider) state what a gateway would
/// look up in its config: the providers of model names.
///
/// ```
/// use plugin_api::testing::TestCall;
///
/// let call = TestCall::chat("groq-x")
///     .provider("groq")
///     .message("user", "hello")
///     .header("x-team", "blue")
///     .param("temperature", 0.5)
///     .stream();
/// assert_eq!(call.model(), "groq-x");
/// assert_eq!(call.body()["temperature"], 0.5);
/// ```
pub struct TestCall {
    id: String,
    endpoint: Endpoint,
    requested_model: String,
    body: Body,
    headers: Vec<(String, String)>,
    deployments: Vec<Deployment>,
    refused_providers: Vec<String>,
    route: Planned,
    upstream_headers: Vec<(String, String)>,
    reply_headers: Vec<(String, String)>,
    metadata: BTreeMap<String, String>,
    local: Vec<u8>,
    key_id: String,
    remaining: Option<Duration>,
    asked: Option<bool>,
    cancelled: bool,
    given: Option<Given>,
    stream: Option<MockStream>,
}

/// A deployment that the config would have for a model name.
struct Deployment {
    model_name: String,
    provider: String,
    upstream_model: String,
    /// Set if it differs from the requested name.
    public_model: Option<String>,
}

/// The route that `set_route` set.
#[derive(Default)]
struct Planned {
    provider: Option<String>,
    model: Option<String>,
    api_base: Option<String>,
    api_key: Option<String>,
}

/// The content that a hook gave with its verdict.
enum Given {
    Reply(Reply),
    Reject(Rejection),
    Fault(String),
}

impl fmt::Debug for TestCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TestCall")
            .field("id", &self.id)
            .field("model", &self.model())
            .finish_non_exhaustive()
    }
}

impl TestCall {
    /// Creates a chat completion for a model name, without messages.
    #[must_use]
    pub fn chat(model: &str) -> Self {
        Self::with_body(Endpoint::CHAT, json!({"model": model, "messages": []}))
    }

    /// Creates a call with this request body. A value other than an object counts as `{}`.
    #[must_use]
    pub fn with_body(endpoint: Endpoint, body: Value) -> Self {
        let body = Body::new(body);
        Self {
            id: "test-call".to_owned(),
            endpoint,
            requested_model: body.model().to_owned(),
            body,
            headers: Vec::new(),
            deployments: Vec::new(),
            refused_providers: Vec::new(),
            route: Planned::default(),
            upstream_headers: Vec::new(),
            reply_headers: Vec::new(),
            metadata: BTreeMap::new(),
            local: Vec::new(),
            key_id: "test-key".to_owned(),
            remaining: None,
            asked: None,
            cancelled: false,
            given: None,
            stream: None,
        }
    }

    /// Sets the call's id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Adds a text message.
    #[must_use]
    pub fn message(self, role: &str, text: &str) -> Self {
        self.message_json(json!({"role": role, "content": text}))
    }

    /// Adds a message as JSON, for example with parts or tool calls.
    #[must_use]
    pub fn message_json(mut self, message: Value) -> Self {
        self.body.push_message(message);
        self
    }

    /// Adds a header of the client's request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a top-level member of the body.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.set_member(name, value.into());
        self
    }

    /// Makes the client ask for a stream.
    #[must_use]
    pub fn stream(self) -> Self {
        self.param("stream", true)
    }

    /// Lets the config serve the requested model at this provider, under the same name.
    #[must_use]
    pub fn provider(self, label: &str) -> Self {
        let model = self.requested_model.clone();
        self.deployment(&model, label, &model)
    }

    /// Lets the config serve a model name at this provider as `upstream_model`. The first one with
    /// a name counts.
    #[must_use]
    pub fn deployment(mut self, model_name: &str, provider: &str, upstream_model: &str) -> Self {
        self.deployments.push(Deployment {
            model_name: model_name.to_owned(),
            provider: provider.to_owned(),
            upstream_model: upstream_model.to_owned(),
            public_model: None,
        });
        self
    }

    /// Makes the requested model another spelling (an alias, a raw name) of `public_model`, which
    /// the config serves at this provider by the `model_name` in `group`.
    #[must_use]
    pub fn spelling_of(mut self, public_model: &str, group: &str, provider: &str) -> Self {
        self.deployments.push(Deployment {
            model_name: group.to_owned(),
            provider: provider.to_owned(),
            upstream_model: public_model.to_owned(),
            public_model: Some(public_model.to_owned()),
        });
        self
    }

    /// Sets whether an upstream was called before the call ended.
    #[must_use]
    pub fn upstream_asked(mut self, asked: bool) -> Self {
        self.asked = Some(asked);
        self
    }

    /// Sets the id and the `model_info` of the deployment that the call is planned to go to.
    #[must_use]
    pub fn deployment_facts(self, id: &str, model_info: &Value) -> Self {
        let text = model_info.to_string();
        self.metadata("callgate.deployment_id", id).metadata("callgate.model_info", &text)
    }

    /// Sets the upstream's response that later hooks see, and that the call took one attempt.
    #[must_use]
    pub fn upstream_response(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        let lower = |name: &str| name.to_ascii_lowercase();
        let object = headers.iter().map(|(name, value)| (lower(name), Value::from(*value)));
        let object = Value::Object(object.collect()).to_string();
        for (name, value) in headers {
            let key = format!("callgate.upstream_header.{}", lower(name));
            self.metadata.insert(key, (*value).to_owned());
        }
        self.upstream_asked(true)
            .metadata("callgate.attempts", "1")
            .metadata("callgate.upstream_status", &status.to_string())
            .metadata("callgate.upstream_headers", &object)
    }

    /// Returns what the callback has written to its [stream](crate::LlmCall::reply_stream) so far.
    /// Run its tasks first: [`MockHost::run_tasks`](super::MockHost::run_tasks).
    #[must_use]
    pub fn streamed_reply(&self) -> StreamedReply {
        self.stream.as_ref().map(MockStream::reply).unwrap_or_default()
    }

    /// Lets the client leave: from now on nobody takes the callback's stream.
    pub fn close_stream(&self) {
        if let Some(stream) = &self.stream {
            stream.close();
        }
    }

    /// Makes a provider unknown to the gateway, so that routing to it fails. All other providers
    /// are known.
    #[must_use]
    pub fn unknown_provider(mut self, label: &str) -> Self {
        self.refused_providers.push(label.to_owned());
        self
    }

    /// Sets the id of the client's key.
    #[must_use]
    pub fn key_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.key_id);
        self
    }

    /// Sets metadata, as an earlier callback would have.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the time left until the call's timeout.
    #[must_use]
    pub fn remaining(mut self, time: Duration) -> Self {
        self.remaining = Some(time);
        self
    }

    /// Makes the client disconnect.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// Returns the model name with all edits.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body.model()
    }

    /// Returns the route that the callback set. Fields that it did not set are `None`.
    #[must_use]
    pub fn route(&self) -> Route<'_> {
        Route {
            provider: self.route.provider.as_deref(),
            model: self.route.model.as_deref(),
            api_base: self.route.api_base.as_deref(),
            api_key: self.route.api_key.as_deref(),
        }
    }

    /// Returns the body with all edits.
    #[must_use]
    pub fn body(&self) -> Value {
        self.body.value()
    }

    /// Returns a header that was set for the upstream. Case does not matter.
    #[must_use]
    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        find(&self.upstream_headers, name)
    }

    /// Returns a header that was set for the client's response. Case does not matter.
    #[must_use]
    pub fn reply_header(&self, name: &str) -> Option<&str> {
        find(&self.reply_headers, name)
    }

    /// Returns the metadata under a key.
    #[must_use]
    pub fn shared(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Returns the callback's own note.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.local
    }

    /// Sets the callback's own note, as an earlier hook would have.
    #[must_use]
    pub fn with_note(mut self, note: &[u8]) -> Self {
        note.clone_into(&mut self.local);
        self
    }

    /// Changes the model name, as another callback might between two hooks.
    pub fn change_model(&mut self, model: &str) {
        self.body.set_member("model", model.into());
    }

    /// Returns the outcome for a verdict and the content that the hook gave with it.
    pub(crate) fn outcome(&mut self, verdict: Verdict) -> Outcome {
        let fault = |text: &str| Outcome::Fault(text.to_owned());
        match (verdict, self.given.take()) {
            (Verdict::CONTINUE, _) => Outcome::Continue,
            (Verdict::NOT_IMPLEMENTED, _) => Outcome::NotImplemented,
            (Verdict::REPLY, Some(Given::Reply(reply))) => Outcome::Reply(reply),
            (Verdict::REPLY, None) if self.stream.is_some() => {
                Outcome::Reply(Reply::Stream(ReplyStream(())))
            }
            (Verdict::REJECT, Some(Given::Reject(rejection))) => Outcome::Reject(rejection),
            (Verdict::FAULT | Verdict::PANIC, Some(Given::Fault(message))) => {
                Outcome::Fault(message)
            }
            _ => fault("the verdict does not match its content"),
        }
    }

    fn planned(&self) -> Option<&Deployment> {
        let serves = |it: &&Deployment| {
            let spelled = it.public_model.is_some() && self.model() == self.requested_model;
            it.model_name == self.model() || spelled
        };
        self.deployments.iter().find(serves)
    }
}
