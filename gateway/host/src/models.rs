//! Calls of the config's models that callbacks make. The server makes them; here are the grants,
//! the bounds, and the depth.

use super::{
    background::{Awaited, Background, Permit},
    depth::{self, AtDepth},
    metrics::InstanceMetrics,
    permissions::Permissions,
};
use arc_swap::ArcSwapOption;
use plugin_api::{
    HostError, HostErrorKind, HttpResponse, MetricKind,
    abi::serve::{BoxFuture, MetricsService as _},
    limits,
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
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
pub(super) struct ServedCalls(ArcSwapOption<Box<dyn ModelCalls>>);

impl ServedCalls {
    pub(super) fn set(&self, calls: Box<dyn ModelCalls>) {
        self.0.store(Some(Arc::new(calls)));
    }
}

impl fmt::Debug for ServedCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServedCalls")
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

/// The calls of models by one instance.
#[derive(Debug)]
pub(super) struct ModelAccess {
    by: Arc<str>,
    server: Arc<ServedCalls>,
    running: Arc<AtomicUsize>,
}

impl ModelAccess {
    pub(super) fn new(by: &Arc<str>, server: &Arc<ServedCalls>) -> Self {
        Self { by: Arc::clone(by), server: Arc::clone(server), running: Arc::default() }
    }

    /// Makes a chat completion; see `Llm::chat` of `plugin_api`.
    pub(super) fn chat(
        &self,
        (body, limit): (Vec<u8>, Option<Duration>),
        (permissions, background): (&Permissions, &Background),
        metrics: &InstanceMetrics,
    ) -> BoxFuture<Result<HttpResponse, HostError>> {
        let depth = depth::current() + 1;
        let made = checked(&body, depth, permissions).and_then(|()| {
            let made = self.begin((body, limit), depth, background)?;
            count(metrics);
            Ok(made)
        });
        Box::pin(async move {
            let ended = || HostError::new(HostErrorKind::ENDING, "the gateway is ending");
            made?.await.ok_or_else(ended)?
        })
    }

    fn begin(
        &self,
        (body, limit): (Vec<u8>, Option<Duration>),
        depth: u32,
        background: &Background,
    ) -> Result<Awaited<Result<HttpResponse, HostError>>, HostError> {
        let place = Permit::take(&self.running, MAX_CALLS).ok_or_else(|| {
            let text = format!("{MAX_CALLS} calls of this callback are not done yet");
            HostError::new(HostErrorKind::FULL, text)
        })?;
        let handle = background.handle()?;
        let Some(server) = self.server.0.load_full() else {
            let text = "the gateway does not serve calls yet; make them in hooks and tasks";
            return Err(HostError::new(HostErrorKind::ENDING, text));
        };
        let made = AtDepth::new(depth, server.chat(OwnCall { by: Arc::clone(&self.by), body }));
        Ok(Awaited::new(handle, async move {
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
}

/// Refuses a call that must not be made.
fn checked(body: &[u8], depth: u32, permissions: &Permissions) -> Result<(), HostError> {
    let asked: Asked<'_> = serde_json::from_slice(body).map_err(|error| {
        let text = format!("expected an object with a text `model`: {error}");
        HostError::new(HostErrorKind::INVALID, text)
    })?;
    if asked.stream == Some(true) {
        let text = "expected no `stream: true`, found it: the answer comes as a whole";
        return Err(HostError::new(HostErrorKind::INVALID, text));
    }
    permissions.call(&asked.model)?;
    if depth > limits::DEPTH {
        let text = format!(
            "{} calls, each made by a callback because of the one before, have led to this one; \
             leave such calls out by `call.key_id()`",
            limits::DEPTH
        );
        return Err(HostError::new(HostErrorKind::TOO_DEEP, text));
    }
    Ok(())
}

/// Counts a call among the callback's own metrics.
fn count(metrics: &InstanceMetrics) {
    let help = "Calls of the config's models that this callback made.";
    let counter = metrics.register(MetricKind::Counter, "model_calls_total", help, &[]);
    if let Ok(counter) = counter {
        metrics.record(counter, 1.0);
    }
}
