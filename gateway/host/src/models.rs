//! Calls of the config's models that callbacks make. The server makes them; here are the grants,
//! the bounds, and the depth.

use super::{CallbackHost, Permit, background::Awaited, depth, full};
use arc_swap::ArcSwapOption;
use plugin_api::{
    HostError, HostErrorKind, HttpResponse, MetricKind,
    abi::serve::{BoxFuture, MetricsService as _},
    limits,
};
use serde::Deserialize;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The most calls of an instance at once.
const MAX_CALLS: usize = 64;

/// A chat completion that a callback makes.
#[derive(Debug)]
pub struct OwnCall {
    /// The entry that makes it.
    pub by: Arc<str>,
    /// As a client would send it.
    pub body: Vec<u8>,
}

/// What makes the calls: the server.
pub trait ModelCalls: Send + Sync {
    /// Makes a call and returns the response that a client would get.
    fn chat(&self, call: OwnCall) -> BoxFuture<Result<HttpResponse, HostError>>;
}

/// The server, once it serves.
#[derive(Default)]
pub(super) struct Server(ArcSwapOption<Box<dyn ModelCalls>>);

impl Server {
    pub(super) fn set(&self, calls: Box<dyn ModelCalls>) {
        self.0.store(Some(Arc::new(calls)));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

/// The members of a body that decide whether the call is made.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    stream: Option<bool>,
}

impl CallbackHost {
    /// Makes a chat completion; see `Llm::chat` of `plugin_api`.
    pub(super) fn call_model(
        &self,
        body: Vec<u8>,
        limit: Option<Duration>,
    ) -> BoxFuture<Result<HttpResponse, HostError>> {
        let made = self.begin(body, limit);
        Box::pin(async move {
            let ended = || HostError::new(HostErrorKind::ENDING, "the gateway is ending");
            made?.await.ok_or_else(ended)?
        })
    }

    fn begin(
        &self,
        body: Vec<u8>,
        limit: Option<Duration>,
    ) -> Result<Awaited<Result<HttpResponse, HostError>>, HostError> {
        let refuse = |kind, text: String| Err(HostError::new(kind, text));
        let asked: Asked<'_> = match serde_json::from_slice(&body) {
            Ok(asked) => asked,
            Err(error) => {
                let text = format!("expected an object with a text `model`: {error}");
                return refuse(HostErrorKind::INVALID, text);
            }
        };
        if asked.stream == Some(true) {
            let text = "expected no `stream: true`, found it: the answer comes as a whole";
            return refuse(HostErrorKind::INVALID, text.to_owned());
        }
        self.permissions.call(&asked.model)?;
        let depth = depth::current() + 1;
        if depth > limits::DEPTH {
            let text = format!(
                "{} calls, each made by a callback because of the one before, have led to this one; \
                 leave such calls out with `call.key_id()`",
                limits::DEPTH
            );
            return refuse(HostErrorKind::TOO_DEEP, text);
        }
        let place = Permit::take(&self.calls, MAX_CALLS).ok_or_else(|| full("calls", MAX_CALLS))?;
        let handle = self.background.handle()?;
        let Some(server) = self.server.0.load_full() else {
            let text = "the gateway does not serve calls yet; make them in hooks and tasks";
            return refuse(HostErrorKind::ENDING, text.to_owned());
        };
        self.count_call();
        let made = server.chat(OwnCall { by: Arc::clone(&self.name), body });
        Ok(Awaited::new(handle, async move {
            let made = depth::AtDepth::new(depth, made);
            let answer = match limit {
                None => made.await,
                Some(limit) => timeout(limit, made).await.unwrap_or_else(|_| {
                    let text = format!("no answer within {} ms", limit.as_millis());
                    Err(HostError::new(HostErrorKind::TIMEOUT, text))
                }),
            };
            drop(place);
            answer
        }))
    }

    /// Counts it among the callback's own metrics.
    fn count_call(&self) {
        let help = "Calls of the config's models that this callback made.";
        let counter = self.metrics.register(MetricKind::Counter, "model_calls_total", help, &[]);
        if let Ok(counter) = counter {
            self.metrics.record(counter, 1.0);
        }
    }
}
