//! A call outside the server, for benchmarks and for tools that show what a callback does.
//!
//! It runs the real chain, policies and view of a call. Nothing is sent anywhere, and the server
//! never uses it. It skips the checks that come before callbacks.

mod outcome;
mod single_hook;

pub use outcome::{AssumedReply, DryRunOutcome};
pub use single_hook::PreparedHook;

use super::{
    auth_request::AuthSource,
    call_handle::CallHandle,
    chain::{AuthQuestion, Callbacks, Started},
};
use bytes::Bytes;
use callgate_call::{Accepted, Call, Caller};
use callgate_deployments::Deployments;
use callgate_json::{Body, BodyError};
use callgate_plugin_host::{Hook, Instance, Plugin};
use callgate_providers::CallKind;
use http::{HeaderMap, Method};
use plugin_api::abi::Verdict;
use std::{sync::Arc, time::Instant};

/// A request that cannot become a call.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// Not a JSON object.
    #[error("the request body is not usable: {0}")]
    Body(String),
    /// Without a model, a client's call is refused before callbacks run.
    #[error("expected the text member `model` in the request body, found none; name a model")]
    NoModel,
}

/// Callbacks, and a request to make calls from.
#[derive(Debug)]
pub struct DryRun {
    callbacks: Callbacks,
    deployments: Arc<Deployments>,
    request: Request,
    caller: Arc<Caller>,
}

#[derive(Debug)]
struct Request {
    headers: HeaderMap,
    body: Body,
    model: String,
    stream: bool,
    accepted: Instant,
}

impl Request {
    fn new(headers: HeaderMap, body: Vec<u8>) -> Result<Self, DryRunError> {
        let body = Body::parse(Bytes::from(body))
            .map_err(|error: BodyError| DryRunError::Body(error.to_string()))?;
        let model = body.member_text("model").and_then(|json| serde_json::from_str(json).ok());
        let stream = body.member_text("stream") == Some("true");
        let model = model.ok_or(DryRunError::NoModel)?;
        Ok(Self { headers, model, stream, body, accepted: Instant::now() })
    }
}

/// One call of a [`DryRun`].
#[derive(Debug)]
pub struct DryRunCall(Box<Call>);

impl DryRun {
    /// `body` is the body of a chat completion request.
    ///
    /// # Errors
    /// If `body` is not a JSON object or names no model.
    pub fn new(
        plugins: Vec<Plugin>,
        deployments: impl Into<Arc<Deployments>>,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Self, DryRunError> {
        Ok(Self {
            callbacks: unrecorded(plugins),
            deployments: deployments.into(),
            request: Request::new(headers, body)?,
            caller: Arc::new(Caller::with_key_id("rehearsal")),
        })
    }

    /// From now on, calls are made from this request; the callbacks keep their state.
    ///
    /// # Errors
    /// As [`DryRun::new`].
    pub fn ask(&mut self, headers: HeaderMap, body: Vec<u8>) -> Result<(), DryRunError> {
        self.request = Request::new(headers, body)?;
        Ok(())
    }

    /// A new call from the request.
    #[must_use]
    pub fn call(&self) -> DryRunCall {
        DryRunCall(Box::new(Call::new(Accepted {
            id: "rehearsal".into(),
            kind: CallKind::Chat,
            requested_model: self.request.model.as_str().into(),
            stream: self.request.stream,
            headers: self.request.headers.clone(),
            path: "/v1/chat/completions".into(),
            key_header: None,
            caller: Arc::clone(&self.caller),
            accepted: Instant::now(),
            body: self.request.body.clone(),
        })))
    }

    /// Runs `on_llm_start` of every callback, as for a client's call. Returns whether the call
    /// would go on to an upstream, because no callback replied, rejected it or failed it. Does not
    /// run the end and error hooks. Callbacks that wait need a tokio runtime with timers enabled.
    pub async fn start(&self, call: &mut DryRunCall) -> bool {
        let chain = self.callbacks.chain();
        matches!(chain.start(&mut call.0, &self.deployments).await, Started::Continue)
    }

    /// Runs `on_llm_start` of one sync callback alone, without chain and policy. Returns whether it
    /// let the call pass, which is also true without this hook.
    #[must_use]
    pub fn start_single(&self, callback: &Instance, call: &mut DryRunCall) -> bool {
        let (call, deployments) = (&mut *call.0, &*self.deployments);
        let mut handle = CallHandle::new(call, deployments, 0, Hook::Start, false);
        callback.on_llm_start(&mut handle) == Verdict::CONTINUE
    }

    /// Runs `on_llm_during` of every callback, as beside an upstream call. Returns whether all let
    /// the call pass.
    pub async fn during(&self, call: &mut DryRunCall) -> bool {
        let chain = self.callbacks.chain();
        match chain.during(&mut call.0, &self.deployments) {
            Some(mut hooks) => chain.during_verdicts(&mut hooks, &mut call.0).await.is_ok(),
            None => true,
        }
    }

    /// Asks the callbacks who sent the request, as for a client's. Returns whether one knows.
    pub async fn authenticate(&self) -> bool {
        let chain = self.callbacks.chain();
        match chain.known_caller(self.question()) {
            Some(known) => known.is_ok(),
            None => matches!(chain.caller(self.question()).await, Ok(Some(_))),
        }
    }

    fn question(&self) -> AuthQuestion<'_> {
        let source = AuthSource {
            headers: &self.request.headers,
            method: &Method::POST,
            path: "/v1/chat/completions",
            client_address: None,
            accepted: self.request.accepted,
        };
        AuthQuestion { source, key_header: None }
    }

    /// The label of the provider that the call would go to now; `None` if nothing serves it.
    #[must_use]
    pub fn provider<'a>(&'a self, call: &'a DryRunCall) -> Option<&'a str> {
        Some(&call.0.planned(&self.deployments)?.deployment().label)
    }
}

/// Calls of tools are not recorded.
fn unrecorded(plugins: Vec<Plugin>) -> Callbacks {
    let callbacks = Callbacks::new(plugins, Vec::new());
    callbacks.recorded_by(None);
    callbacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::{Environment, UnknownKeys, parse};
    use futures_util::FutureExt as _;
    use std::path::Path;

    fn dry_run(body: &str) -> Result<DryRun, DryRunError> {
        let text = "model_list: [{model_name: m, litellm_params: {model: openai/o}}]";
        let file = Arc::from(Path::new("config.yaml"));
        let config = parse(&file, text, &Environment::default(), UnknownKeys::Warn).unwrap();
        let (deployments, _) = Deployments::from_config(&config).unwrap();
        DryRun::new(Vec::new(), deployments, HeaderMap::new(), body.into())
    }

    #[test]
    fn a_call_passes_an_empty_chain_and_is_planned() {
        for (model, provider) in [("m", Some("openai")), ("other", None)] {
            let dry_run = dry_run(&format!(r#"{{"model": "{model}"}}"#)).unwrap();
            let mut call = dry_run.call();
            assert_eq!(dry_run.start(&mut call).now_or_never(), Some(true));
            assert_eq!(dry_run.provider(&call), provider);
        }
    }

    #[test]
    fn what_no_client_could_send_is_refused() {
        for body in ["", "[]", "{", "{}", r#"{"model": 7}"#] {
            assert!(dry_run(body).is_err(), "{body}");
        }
    }
}
