//! The call a test lends to hooks: how it is built, and what can be read back afterwards.
//! How it answers the accessors is in `call/access`, what of it is JSON in `call/body`.

mod access;
mod body;
#[cfg(test)]
mod tests;

pub(super) use access::{is_header_name, is_header_value};

use super::Outcome;
use crate::{Endpoint, Rejection, Reply, Route, abi::Verdict};
use body::Body;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, time::Duration};

/// A call without a gateway. Reads and edits mean what they mean in production; what a gateway
/// would look up in its config (providers of model names) is told by
/// [`deployment`](Self::deployment) or [`provider`](Self::provider).
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
    metadata: BTreeMap<String, String>,
    local: Vec<u8>,
    key_id: String,
    remaining: Option<Duration>,
    asked: Option<bool>,
    cancelled: bool,
    given: Option<Given>,
}

/// What the config would say about a model name.
struct Deployment {
    model_name: String,
    provider: String,
    upstream_model: String,
    /// Where it is not the name that was asked for.
    public_model: Option<String>,
}

/// What `set_route` left behind.
#[derive(Default)]
struct Planned {
    provider: Option<String>,
    model: Option<String>,
    api_base: Option<String>,
    api_key: Option<String>,
}

/// What stands behind a verdict.
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
    /// A chat completion for a model name, without messages.
    #[must_use]
    pub fn chat(model: &str) -> Self {
        Self::with_body(Endpoint::CHAT, json!({"model": model, "messages": []}))
    }

    /// A call with a body as a client sends it. Anything but an object counts as `{}`.
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
            metadata: BTreeMap::new(),
            local: Vec::new(),
            key_id: "test-key".to_owned(),
            remaining: None,
            asked: None,
            cancelled: false,
            given: None,
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

    /// Adds a message with parts, tool calls or whatever a client may send.
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

    /// The client wants a stream.
    #[must_use]
    pub fn stream(self) -> Self {
        self.param("stream", true)
    }

    /// The config serves the requested model at this provider, under the same name.
    #[must_use]
    pub fn provider(self, label: &str) -> Self {
        let model = self.requested_model.clone();
        self.deployment(&model, label, &model)
    }

    /// The config serves a model name at this provider as `upstream_model`. A later one of the same
    /// name is not looked at.
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

    /// The requested model is another spelling (an alias, a raw name) of `public_model`, which the
    /// config serves at this provider by its `model_name` `group`.
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

    /// Whether an upstream was asked when the call ended.
    #[must_use]
    pub fn upstream_asked(mut self, asked: bool) -> Self {
        self.asked = Some(asked);
        self
    }

    /// The gateway does not know this provider: routing to it is refused. Every other one is known.
    #[must_use]
    pub fn unknown_provider(mut self, label: &str) -> Self {
        self.refused_providers.push(label.to_owned());
        self
    }

    /// Who calls.
    #[must_use]
    pub fn key_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.key_id);
        self
    }

    /// An earlier callback shared this.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The call may still take this long.
    #[must_use]
    pub fn remaining(mut self, time: Duration) -> Self {
        self.remaining = Some(time);
        self
    }

    /// The client has gone.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// The model name as edited.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body.model()
    }

    /// What the callback set with `set_route`; parts it did not set are `None`.
    #[must_use]
    pub fn route(&self) -> Route<'_> {
        Route {
            provider: self.route.provider.as_deref(),
            model: self.route.model.as_deref(),
            api_base: self.route.api_base.as_deref(),
            api_key: self.route.api_key.as_deref(),
        }
    }

    /// The body as edited.
    #[must_use]
    pub fn body(&self) -> Value {
        self.body.value()
    }

    /// A header set for the upstream; names in any case.
    #[must_use]
    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        find(&self.upstream_headers, name)
    }

    /// What the callback shared under a key.
    #[must_use]
    pub fn shared(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The callback's own note.
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

    /// What a verdict means, with what the hook gave for it.
    pub(crate) fn outcome(&mut self, verdict: Verdict) -> Outcome {
        let fault = |text: &str| Outcome::Fault(text.to_owned());
        match (verdict, self.given.take()) {
            (Verdict::CONTINUE, _) => Outcome::Continue,
            (Verdict::NOT_IMPLEMENTED, _) => Outcome::NotImplemented,
            (Verdict::REPLY, Some(Given::Reply(reply))) => Outcome::Reply(reply),
            (Verdict::REJECT, Some(Given::Reject(rejection))) => Outcome::Reject(rejection),
            (Verdict::FAULT | Verdict::PANIC, Some(Given::Fault(message))) => {
                Outcome::Fault(message)
            }
            _ => fault("the verdict does not go with what was given"),
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

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
