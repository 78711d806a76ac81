//! Runs a dry run from start to end, and returns its outcome as data to show and compare.

use super::{DryRun, DryRunCall};
use crate::{
    call_state::{call_state, texts},
    chain::{Chain, Started},
    chunk_queue::ChunkQueue,
    payload::{CallStats, EndPayload, ErrorPayload, StreamedText},
    reply_stream::CallbackReply,
};
use bytes::Bytes;
use callgate_call::Call;
use callgate_failure::Failure;
use callgate_providers::Usage;
use plugin_api::{FailureKind, Reply};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The assumed reply of the upstream, or the stream that a callback writes itself.
#[derive(Clone, Debug)]
pub enum AssumedReply {
    /// No reply: the run ends after the start hooks and those beside the upstream call.
    Nothing,
    /// A chat completion.
    Json(Value),
    /// The chunks of a stream.
    Chunks(Vec<Value>),
}

/// The outcome of a call.
#[derive(Debug, Serialize)]
pub struct DryRunOutcome {
    /// `continue`, `reply`, `refused` or `fault`.
    pub verdict: &'static str,
    /// Whether every start hook let the call pass.
    #[serde(skip)]
    pub passed: bool,
    /// The callback that replied, rejected the call or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether it replied with a stream of its own. Its task does not run here, so the assumed
    /// reply stands for what the task would write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_stream: bool,
    /// The call after the start hooks and those beside the upstream call.
    pub call: Value,
    /// The reply as a client would get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
    /// Headers that hooks set on the reply.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub reply_headers: Map<String, Value>,
    /// Each chunk as a client would get it; `null` for a dropped one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<Value>>,
    /// The error that a client would get instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorResponse>,
}

/// An error response.
#[derive(Debug, Serialize)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// OpenAI's error object.
    pub error: Value,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// Further headers.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// The cause, for the operator only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl DryRun {
    /// The current state of the call, for people and for comparison.
    #[must_use]
    pub fn state(&self, call: &DryRunCall) -> Value {
        call_state(&call.0, &self.deployments)
    }

    /// Runs a call to its end: start hooks, those beside the upstream call, then the hooks for the
    /// reply or the failure.
    pub async fn run(&self, answered: AssumedReply) -> DryRunOutcome {
        let chain = self.callbacks.chain();
        let mut call = self.call();
        let started = chain.start(&mut call.0, &self.deployments).await;
        let mut outcome = DryRunOutcome {
            verdict: "continue",
            passed: matches!(started, Started::Continue),
            by: None,
            own_stream: false,
            call: self.state(&call),
            reply: None,
            reply_headers: Map::new(),
            chunks: None,
            error: None,
        };
        let failed = match started {
            Started::Failed(failure) => Err(failure),
            Started::Replied { by, reply } => {
                (outcome.verdict, outcome.by) = ("reply", Some(by.to_string()));
                let own = as_completion(reply);
                outcome.own_stream = own.is_none();
                let reply = own.map_or(answered, AssumedReply::Json);
                self.finish(&chain, &mut call.0, reply, &mut outcome).await
            }
            Started::Continue => {
                let passed = self.run_during(&chain, &mut call.0).await;
                outcome.call = self.state(&call);
                match passed {
                    Err(failure) => Err(failure),
                    Ok(()) => self.finish(&chain, &mut call.0, answered, &mut outcome).await,
                }
            }
        };
        if let Err(failure) = failed {
            self.fail(&chain, &mut call.0, failure, &mut outcome).await;
        }
        outcome
    }

    /// Runs the hooks beside an upstream call that takes no time.
    async fn run_during(&self, chain: &Chain, call: &mut Call) -> Result<(), Failure> {
        match chain.during(call, &self.deployments) {
            Some(mut hooks) => chain.during_verdicts(&mut hooks, call).await,
            None => Ok(()),
        }
    }

    async fn finish(
        &self,
        chain: &Chain,
        call: &mut Call,
        reply: AssumedReply,
        outcome: &mut DryRunOutcome,
    ) -> Result<(), Failure> {
        match reply {
            AssumedReply::Nothing => Ok(()),
            AssumedReply::Json(json) => self.finish_json(chain, call, json, outcome).await,
            AssumedReply::Chunks(chunks) => self.finish_stream(chain, call, &chunks, outcome).await,
        }
    }

    async fn finish_json(
        &self,
        chain: &Chain,
        call: &mut Call,
        json: Value,
        outcome: &mut DryRunOutcome,
    ) -> Result<(), Failure> {
        let streamed = StreamedText::default();
        let mut reply = EndPayload::new(200, Some(Bytes::from(json.to_string())), &streamed);
        reply.from_callback = outcome.verdict == "reply";
        reply.figures.usage = json.get("usage").and_then(|usage| Usage::deserialize(usage).ok());
        chain.end(call, &self.deployments, &mut reply).await?;
        outcome.reply = reply.json.and_then(|json| serde_json::from_slice(&json).ok());
        outcome.reply_headers = texts(reply.headers.iter().map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        }));
        Ok(())
    }

    async fn finish_stream(
        &self,
        chain: &Chain,
        call: &mut Call,
        chunks: &[Value],
        outcome: &mut DryRunOutcome,
    ) -> Result<(), Failure> {
        let (mut streamed, mut queue) = (StreamedText::default(), ChunkQueue::default());
        let told = outcome.chunks.get_or_insert_default();
        let ends = chunks.iter().map(Some).chain([None]);
        for json in ends {
            let sent_before = told.len();
            json.into_iter().for_each(|json| queue.push(json.to_string()));
            while let Some(next) = queue.next(json.is_none()) {
                let sent = chain.token(call, &self.deployments, next, &mut queue).await?;
                let Some(chunk) = sent else { continue };
                streamed.add(chunk.json.as_bytes());
                told.push(serde_json::from_str(&chunk.json).unwrap_or_default());
            }
            if json.is_some() && told.len() == sent_before {
                told.push(Value::Null);
            }
        }
        let mut reply = EndPayload::new(200, None, &streamed);
        reply.from_callback = outcome.verdict == "reply";
        let usage = chunks.iter().rev().find_map(|chunk| chunk.get("usage"));
        reply.figures.usage = usage.and_then(|usage| Usage::deserialize(usage).ok());
        chain.end(call, &self.deployments, &mut reply).await
    }

    /// Runs the error hooks, and records the error that a client would get.
    async fn fail(
        &self,
        chain: &Chain,
        call: &mut Call,
        failure: Failure,
        outcome: &mut DryRunOutcome,
    ) {
        let fault = failure.kind == FailureKind::FAULT || failure.cause.is_some();
        outcome.verdict = if fault { "fault" } else { "refused" };
        outcome.by = failure.callback.as_ref().map(ToString::to_string);
        let sent = outcome.chunks.as_ref().is_some_and(|chunks| !chunks.is_empty());
        let (streamed, figures) = ("".into(), CallStats::default());
        let mut failing = ErrorPayload { failure, sent, streamed, figures };
        chain.error(call, &self.deployments, &mut failing).await;
        let failure = failing.failure;
        let object: Value = serde_json::from_slice(&failure.to_json()).unwrap_or_default();
        let headers = failure.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        outcome.error = Some(ErrorResponse {
            status: failure.status,
            error: object.get("error").cloned().unwrap_or_default(),
            retry_after: failure.retry_after.clone(),
            headers: texts(headers),
            cause: failure.cause.clone(),
        });
    }
}

/// A callback's reply as a completion; `None` for a stream of its own. The server's completion has
/// an id, a time, a model and a usage, too.
fn as_completion(reply: CallbackReply) -> Option<Value> {
    let text = match reply {
        CallbackReply::Whole(Reply::Json(json)) => {
            return Some(serde_json::from_str(&json).unwrap_or_default());
        }
        CallbackReply::Whole(Reply::Text(text)) => text,
        CallbackReply::Whole(Reply::Stream(_)) | CallbackReply::Stream(_) => return None,
    };
    Some(json!({
        "object": "chat.completion",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
    }))
}
