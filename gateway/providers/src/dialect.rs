//! What a dialect does, and the words that all dialects and their callers share.

use super::{CallKind, ModelFamily, ParamRules, Quirks};
use bytes::Bytes;
use callgate_failure::{ErrorText, Failure};
use callgate_json::{Body, Slices};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt, sync::Arc};

/// The translation to and from one provider's API.
pub trait Dialect: Sync + fmt::Debug {
    /// The URL of chat calls.
    fn chat_url(&self, at: &ChatAddress<'_>) -> String;

    /// Whether the URL depends on the model.
    fn has_model_in_url(&self) -> bool {
        false
    }

    /// Whether a URL may name a version of the API.
    fn has_versions(&self) -> bool {
        false
    }

    /// Whether a stream from there can be asked for its usage.
    fn knows_stream_options(&self, _at: &ChatAddress<'_>) -> bool {
        true
    }

    /// Why it cannot call this model.
    fn unserved(&self, _model: &str) -> Option<&'static str> {
        None
    }

    /// Builds the request. `body` is the client's, with all callbacks' edits; it is not changed, so
    /// that another attempt can use it.
    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure>;

    /// The URL of calls of another kind.
    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String;

    /// Builds the request of a call of another kind.
    fn request_of(
        &self,
        kind: CallKind,
        body: &Body,
        to: &Destination<'_>,
    ) -> Result<Outgoing, Failure>;

    /// Translates the JSON reply to a call of another kind. `base64` is the request's own.
    fn reply_of(
        &self,
        kind: CallKind,
        body: Body,
        echo: &Echo,
        base64: bool,
    ) -> Result<Translated, AnswerFault>;

    /// The deployment's parameters that this dialect cannot send.
    fn unfit<'p>(&self, _params: &'p Map<String, Value>) -> Vec<&'p str> {
        Vec::new()
    }

    /// Translates a JSON reply.
    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault>;

    /// Creates a translator for one streamed reply.
    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator>;

    /// Reads an error reply.
    fn error(&self, status: u16, body: &[u8]) -> ErrorText;

    /// Whether requests have the headers of Anthropic's API.
    fn speaks_anthropic(&self) -> bool {
        false
    }

    /// The remedy to suggest if the upstream refuses the connection.
    fn unreachable_hint(&self) -> &'static str {
        "is its base URL right, and does something listen there?"
    }
}

/// What the URL of a call is made of.
#[derive(Clone, Copy, Debug)]
pub struct ChatAddress<'a> {
    /// The base URL.
    pub base: &'a str,
    /// The model's name at the upstream.
    pub model: &'a str,
    /// The version of the API, if the deployment has one.
    pub api_version: Option<&'a str>,
}

/// The parts of a call's target that a dialect needs.
#[derive(Debug)]
pub struct Destination<'a> {
    /// The model's name at the upstream.
    pub model: &'a str,
    /// The same name as JSON.
    pub model_json: Bytes,
    /// The deployment's parameters, for those the client does not set.
    pub params: &'a Map<String, Value>,
    pub rules: &'a ParamRules,
    /// What its parameters may be, if the model is one of OpenAI's.
    pub family: ModelFamily,
    pub stream: bool,
    pub quirks: Quirks,
    /// Asks a stream for its usage even if the client did not.
    pub stream_usage: bool,
}

/// A request to an upstream, without the parts that are the same for all.
#[derive(Debug)]
pub struct Outgoing {
    pub body: Slices,
    /// The number of choices it asks for.
    pub choices: u64,
    /// Whether the gateway has to write the embeddings of the answer as base64.
    pub base64: bool,
    /// Headers for this request alone.
    pub headers: &'static [(&'static str, &'static str)],
}

/// The number of choices that the member `n` asks for.
pub(crate) fn number_of_choices(n: Option<Cow<'_, [u8]>>) -> u64 {
    const LONGEST: usize = 20;
    let json = n.filter(|json| json.len() <= LONGEST);
    json.and_then(|json| std::str::from_utf8(&json).ok()?.parse().ok()).unwrap_or(1)
}

/// A JSON reply in OpenAI's format.
#[derive(Debug)]
pub struct Translated {
    pub body: Slices,
    pub usage: Option<Usage>,
}

/// Values that every reply repeats to its client.
#[derive(Debug, Clone)]
pub struct Echo {
    /// An id for upstreams that send none: `chatcmpl-…`.
    pub id: Arc<str>,
    /// Seconds since 1970.
    pub created: u64,
    /// The model name the client asked for.
    pub model: Arc<str>,
}

/// The options of a stream that the client asked for.
#[derive(Debug, Clone, Copy)]
pub struct StreamRequest {
    /// The usage chunk.
    pub usage: bool,
    /// The number of choices.
    pub choices: u64,
}

/// Tokens as the upstream counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
    #[serde(default)]
    pub total_tokens: u64,
}

/// Translates one streamed reply, frame by frame.
pub trait StreamTranslator: Send {
    /// Takes the next bytes, split anywhere, and writes the chunks they complete to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;

    /// Called when the upstream has closed: bytes after the last line end count as a line. If this
    /// succeeds, the response is complete.
    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;

    /// Whether the response is complete; later bytes are ignored.
    fn complete(&self) -> bool;

    /// The number of events so far, without blanks, comments and partial events.
    fn events(&self) -> u64;

    /// Whether some of the content has come.
    fn content(&self) -> bool;

    fn usage(&self) -> Option<Usage>;

    /// The number of bytes of an incomplete event or line.
    fn backlog(&self) -> usize;
}

/// Takes `chat.completion.chunk` objects, each as parts to write in order.
pub trait ChunkSink {
    fn chunk(&mut self, json: &[&[u8]]);

    /// Takes an event that may have a name, of a stream that is no chat's.
    fn event(&mut self, _name: &[u8], json: &[&[u8]]) {
        self.chunk(json);
    }
}

/// Why a response, JSON or stream, is not a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerFault {
    /// The upstream reports an error.
    Upstream(ErrorText),
    /// It is not in the upstream's dialect; contains the reason.
    Malformed(String),
    /// It is something else; contains its kind.
    Other(&'static str),
    /// A part is missing; contains its name.
    Incomplete(String),
}
