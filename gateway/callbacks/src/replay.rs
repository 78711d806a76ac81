//! Runs recorded calls through another build of a callback, and compares verdicts and edits with
//! the recorded ones.
//!
//! Each hook gets the input that was recorded, whatever the hooks before it did now. Its requests
//! get the recorded answers, and its clock stands at the recorded time, so that a replay comes to
//! the same result each time. Counters and values begin empty and grow from call to call.

mod recorded_call;
mod services;

use crate::{
    call_state::texts,
    chain::{Callbacks, Started},
    changes::{Change, changes},
    payload::{EndPayload, ErrorPayload, StreamedText},
    record::{Recorder, chunk_of, failure_of, figures_of, text_of},
};
use bytes::Bytes;
use callgate_call::{Call, ResponseFacts};
use callgate_deployments::Deployments;
use callgate_plugin_host::{Hook, Plugin};
pub use recorded_call::{RecordError, RecordedCall};
use serde::Serialize;
use serde_json::{Map, Value, json};
pub use services::ReplayServices;
use std::sync::{Arc, OnceLock};

/// One build of a callback, through which recorded calls run.
#[derive(Debug)]
pub struct Replay {
    callbacks: Callbacks,
    recorder: Arc<Recorder>,
    deployments: Arc<Deployments>,
    services: ReplayServices,
}

/// The result of one call.
#[derive(Debug, Serialize)]
pub struct Replayed {
    /// The hooks whose verdict or edits differ.
    pub differences: Vec<Difference>,
    /// The callback panicked: the next call needs a new instance, as in the gateway.
    #[serde(skip)]
    pub panicked: bool,
}

/// What one hook did differently: `before` is recorded, `after` is new.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The hook.
    pub hook: String,
    /// Its place among the call's recorded hooks, from 1.
    pub number: usize,
    /// What differs.
    pub changes: Vec<Change>,
}

impl Replay {
    /// `None` without a plugin's instance.
    #[must_use]
    pub fn new(
        plugin: Plugin,
        deployments: &Arc<Deployments>,
        services: &ReplayServices,
    ) -> Option<Self> {
        let callbacks = Callbacks::new(vec![plugin], Vec::new());
        let recorder = Recorder::in_memory(&callbacks.first()?);
        callbacks.recorded_by(Some(&recorder));
        let (deployments, services) = (Arc::clone(deployments), services.clone());
        Some(Self { callbacks, recorder, deployments, services })
    }

    /// Runs one call. Needs a tokio runtime with timers.
    ///
    /// # Errors
    /// If the recorded request is not one.
    pub async fn run(&self, recorded: &RecordedCall) -> Result<Replayed, RecordError> {
        let mut call = recorded.call()?;
        let mut ran = Vec::new();
        self.services.answer_with(recorded.exchanges());
        for hook in recorded.hooks() {
            self.services.set_time(hook.unix_ms);
            let goes_on = self.run_hook(hook.hook, hook.input, &mut call).await;
            ran.push(self.callbacks.chain().has(hook.hook));
            if goes_on != hook.passed() {
                break;
            }
        }
        drop(call);
        let new = self.recorder.take().pop().unwrap_or_default();
        let mut new = new["hooks"].as_array().into_iter().flatten();
        let (mut differences, mut panicked) = (Vec::new(), false);
        for ((number, hook), has) in recorded.hooks().enumerate().zip(ran) {
            let idle = json!({"outcome": {"verdict": {"kind": "continue"}, "edits": {}}});
            let found = if has { new.next() } else { None }.unwrap_or(&idle);
            panicked |= found["outcome"]["verdict"]["panicked"] == true;
            let changes = changes(hook.outcome, &found["outcome"]);
            if !changes.is_empty() {
                let hook = hook.hook.name().to_owned();
                differences.push(Difference { hook, number: number + 1, changes });
            }
        }
        Ok(Replayed { differences, panicked })
    }

    /// Runs one hook on its recorded input; returns whether the call went on.
    async fn run_hook(&self, hook: Hook, input: &Value, call: &mut Call) -> bool {
        let (chain, deployments) = (self.callbacks.chain(), &self.deployments);
        let event = &input["event"];
        set_circumstances(call, input);
        match hook {
            Hook::Start => matches!(chain.start(call, deployments).await, Started::Continue),
            Hook::During => match chain.during(call, deployments) {
                Some(mut hooks) => chain.during_verdicts(&mut hooks, call).await.is_ok(),
                None => true,
            },
            // They run outside any call, and are not recorded.
            Hook::Auth | Hook::ListModels => true,
            Hook::NewToken => chain.token_alone(call, deployments, &mut chunk_of(event)).await,
            Hook::End => {
                let streamed = StreamedText {
                    text: event["text"].as_str().unwrap_or_default().to_owned(),
                    finish_reason: event["finish_reason"].as_str().map(str::to_owned),
                    left_out: 0,
                };
                let json = |name: &str| Some(&event[name]).filter(|json| !json.is_null());
                let bytes = |json: &Value| Bytes::from(text_of(json));
                let status = event["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                let mut reply =
                    EndPayload::new(status.unwrap_or(200), json("json").map(bytes), &streamed);
                reply.completion = json("completion").map(bytes);
                reply.from_callback = event["from_callback"] == true;
                reply.figures = figures_of(&event["figures"]);
                for (name, value) in recorded_call::header_pairs(&event["headers"]) {
                    reply.headers.push((name, value));
                }
                chain.end_alone(call, deployments, &mut reply).await
            }
            Hook::Error => {
                let mut failing = ErrorPayload {
                    failure: failure_of(event),
                    sent: event["sent"] == true,
                    streamed: event["text"].as_str().unwrap_or_default().to_owned().into(),
                    figures: figures_of(&event["figures"]),
                };
                chain.error_alone(call, deployments, &mut failing).await
            }
        }
    }
}

/// Sets what others changed in the call since the hook before.
fn set_circumstances(call: &mut Call, input: &Value) {
    call.asked = input["asked"] == true;
    call.client_gone = input["client_gone"] == true;
    let response = &input["response"];
    let status = response["status"].as_str().and_then(|status| status.parse().ok());
    if let Some(status) = status {
        let headers: Map<String, Value> =
            response["headers"].as_object().cloned().unwrap_or_default();
        let headers = headers.into_iter().map(|(name, value)| (name, text_of(&value)));
        let slot = OnceLock::from(ResponseFacts::new(status, headers));
        call.upstream_response = Some(Arc::new(slot));
    }
    let now: Map<String, Value> =
        texts(call.all_metadata().map(|(name, value)| (name, value.to_owned())));
    for (name, value) in input["metadata"].as_object().into_iter().flatten() {
        if now.get(name) != Some(value) {
            // What a hook could set is within the limits.
            let _ = call.set_metadata(name, &text_of(value));
        }
    }
}
