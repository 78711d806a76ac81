//! A rehearsed call from its start to its end, told so that it can be shown and compared.

use super::{Rehearsal, RehearsedCall};
use crate::{
    answer::{Chunk, Failing, Figures, Reply, Streamed},
    chain::{Chain, Started},
};
use bytes::Bytes;
use callgate_call::{Call, Target};
use callgate_failure::Failure;
use callgate_providers::Usage;
use plugin_api::FailureKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What the upstream is taken to answer.
#[derive(Clone, Debug)]
pub enum Answered {
    /// Nothing: the story ends with the start hooks.
    Nothing,
    /// A chat completion.
    Json(Value),
    /// The chunks of a stream.
    Chunks(Vec<Value>),
}

/// What became of a call.
#[derive(Debug, Serialize)]
pub struct Story {
    /// `continue`, `reply`, `refused` or `fault`.
    pub verdict: &'static str,
    /// The callback that answered, refused or broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The call after the start hooks.
    pub call: Value,
    /// The reply as the client would get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
    /// Headers that hooks set on it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub reply_headers: Map<String, Value>,
    /// Each chunk as the client would get it; `null` for one that is kept from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<Value>>,
    /// What the client would be told instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Told>,
}

/// An error as a client gets it.
#[derive(Debug, Serialize)]
pub struct Told {
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
    /// What only the operator would read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Rehearsal {
    /// The call as it stands, for people and for comparison.
    #[must_use]
    pub fn state(&self, call: &RehearsedCall) -> Value {
        let call = &*call.0;
        let target = call.planned(&self.deployments);
        let body = serde_json::from_str(call.body_text()).unwrap_or_default();
        let mut params: Map<String, Value> = match body {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let messages = params.remove("messages");
        params.remove("model");
        json!({
            "model": call.model(),
            "provider": target.map(|target| &*target.deployment().label),
            "upstream_model": target.map(Target::upstream_model),
            "api_base": target.map(Target::api_base),
            "api_key": target.and_then(Target::callback_key).map(|_| "set by a callback"),
            "upstream_headers": texts(call.upstream_headers.iter().map(|(name, value)| {
                (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })),
            "metadata": texts(call.all_metadata().map(|(name, value)| (name, value.to_owned()))),
            "params": params,
            "messages": messages,
        })
    }

    /// Runs the whole story of a call: start hooks, then those that see the answer or the failure.
    pub async fn tell(&self, answered: Answered) -> Story {
        let chain = self.callbacks.chain();
        let mut call = self.call();
        let started = chain.start(&mut call.0, &self.deployments).await;
        let mut story = Story {
            verdict: "continue",
            by: None,
            call: self.state(&call),
            reply: None,
            reply_headers: Map::new(),
            chunks: None,
            error: None,
        };
        let failed = match started {
            Started::Failed(failure) => Err(failure),
            Started::Replied { by, reply } => {
                (story.verdict, story.by) = ("reply", Some(by.to_string()));
                self.answer(&chain, &mut call.0, as_completion(reply), true, &mut story).await
            }
            Started::Continue => match answered {
                Answered::Nothing => Ok(()),
                Answered::Json(json) => {
                    self.answer(&chain, &mut call.0, json, false, &mut story).await
                }
                Answered::Chunks(chunks) => {
                    self.stream(&chain, &mut call.0, &chunks, &mut story).await
                }
            },
        };
        if let Err(failure) = failed {
            self.fail(&chain, &mut call.0, failure, &mut story).await;
        }
        story
    }

    async fn answer(
        &self,
        chain: &Chain,
        call: &mut Call,
        json: Value,
        from_callback: bool,
        story: &mut Story,
    ) -> Result<(), Failure> {
        let streamed = Streamed::default();
        let mut reply = Reply::new(200, Some(Bytes::from(json.to_string())), &streamed);
        reply.from_callback = from_callback;
        reply.figures.usage = json.get("usage").and_then(|usage| Usage::deserialize(usage).ok());
        chain.end(call, &self.deployments, &mut reply).await?;
        story.reply = reply.json.and_then(|json| serde_json::from_slice(&json).ok());
        story.reply_headers = texts(reply.headers.iter().map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        }));
        Ok(())
    }

    async fn stream(
        &self,
        chain: &Chain,
        call: &mut Call,
        chunks: &[Value],
        story: &mut Story,
    ) -> Result<(), Failure> {
        let mut streamed = Streamed::default();
        for json in chunks {
            let mut chunk = Chunk::new(call.next_chunk(), json.to_string());
            let told = story.chunks.get_or_insert_default();
            chain.token(call, &self.deployments, &mut chunk).await?;
            if chunk.dropped {
                told.push(Value::Null);
            } else {
                streamed.add(chunk.json.as_bytes());
                told.push(serde_json::from_str(&chunk.json).unwrap_or_default());
            }
        }
        let mut reply = Reply::new(200, None, &streamed);
        let usage = chunks.iter().rev().find_map(|chunk| chunk.get("usage"));
        reply.figures.usage = usage.and_then(|usage| Usage::deserialize(usage).ok());
        chain.end(call, &self.deployments, &mut reply).await
    }

    /// Error hooks, and what the client is told in the end.
    async fn fail(&self, chain: &Chain, call: &mut Call, failure: Failure, story: &mut Story) {
        let fault = failure.kind == FailureKind::FAULT || failure.cause.is_some();
        story.verdict = if fault { "fault" } else { "refused" };
        story.by = failure.callback.as_ref().map(ToString::to_string);
        let sent = story.chunks.as_ref().is_some_and(|chunks| !chunks.is_empty());
        let (streamed, figures) = ("".into(), Figures::default());
        let mut failing = Failing { failure, sent, streamed, figures };
        chain.error(call, &self.deployments, &mut failing).await;
        let failure = failing.failure;
        let object: Value = serde_json::from_slice(&failure.to_json()).unwrap_or_default();
        let headers = failure.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        story.error = Some(Told {
            status: failure.status,
            error: object.get("error").cloned().unwrap_or_default(),
            retry_after: failure.retry_after.clone(),
            headers: texts(headers),
            cause: failure.cause.clone(),
        });
    }
}

fn texts<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> Map<String, Value> {
    pairs.map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

/// A callback's answer as the completion the gateway builds of it.
fn as_completion(reply: plugin_api::Reply) -> Value {
    match reply {
        plugin_api::Reply::Json(json) => serde_json::from_str(&json).unwrap_or_default(),
        plugin_api::Reply::Text(text) => json!({
            "object": "chat.completion",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
        }),
    }
}
