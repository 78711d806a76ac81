//! The dialects upstreams speak and the providers that are known by name.
//!
//! Translation is pure: bytes in, bytes out, no I/O. A provider is one row of [`PROVIDERS`]; a new
//! dialect is one file beside it. Who sends and receives is `upstream`; which provider a deployment
//! has is decided by `deployments`.

#![forbid(unsafe_code)]

pub mod error_text;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gateway_members;
pub(crate) mod ollama;
pub mod openai;
pub mod stream_as_completion;
mod surrogate_pairs;

pub use callgate_failure::ErrorText;

use callgate_failure::Failure;
use callgate_json::{Body, Slices};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt};

/// A provider known by its prefix in `litellm_params.model`.
pub struct Provider {
    /// The prefix, and what `custom_llm_provider` calls it.
    pub name: &'static str,
    /// What limits, logs and metrics count by.
    pub label: &'static str,
    /// Used when neither the config nor a variable gives a base URL.
    pub default_base: Option<&'static str>,
    /// Variables that give a base URL, first wins.
    pub base_env: &'static [&'static str],
    /// Variables that give a key, first wins.
    pub key_env: &'static [&'static str],
    /// Servers of this kind need no key; one is made up where a header is expected.
    pub dummy_key: bool,
    pub dialect: &'static dyn Dialect,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const OPENAI: Provider = Provider {
    name: "openai",
    label: "openai",
    default_base: Some("https://api.openai.com/v1"),
    base_env: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    key_env: &["OPENAI_API_KEY"],
    dummy_key: false,
    dialect: &openai::OpenAi,
};

const OLLAMA: Provider = Provider {
    name: "ollama_chat",
    label: "ollama",
    default_base: Some(ollama::DEFAULT_API_BASE),
    base_env: &["OLLAMA_API_BASE"],
    key_env: &["OLLAMA_API_KEY"],
    dummy_key: false,
    dialect: &ollama::Ollama,
};

/// An OpenAI-compatible server that somebody runs for themselves.
const fn compatible(name: &'static str, label: &'static str) -> Provider {
    Provider {
        name,
        label,
        default_base: None,
        base_env: &[],
        key_env: &[],
        dummy_key: true,
        ..OPENAI
    }
}

/// Every provider, in the order they are told to the operator.
pub static PROVIDERS: &[Provider] = &[
    OPENAI,
    Provider {
        name: "groq",
        label: "groq",
        default_base: Some("https://api.groq.com/openai/v1"),
        base_env: &["GROQ_API_BASE"],
        key_env: &["GROQ_API_KEY"],
        ..OPENAI
    },
    OLLAMA,
    // LiteLLM renders a prompt for `/api/generate` here; Ollama's own `/api/chat` does that better.
    Provider { name: "ollama", ..OLLAMA },
    compatible("hosted_vllm", "hosted_vllm"),
    compatible("lm_studio", "lm_studio"),
    compatible("openai_compatible", "openai_compatible"),
    compatible("openai_like", "openai_compatible"),
];

/// The provider with this prefix; case matters.
#[must_use]
pub fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == prefix)
}

/// Every known prefix.
pub fn prefixes() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}

/// How an upstream is spoken to.
pub trait Dialect: Sync + fmt::Debug {
    /// What to send. `body` is the client's, with every callback's edits; it stays as it is, for
    /// another attempt.
    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure>;

    /// The deployment's parameters that this dialect cannot pass on.
    fn unfit<'p>(&self, _params: &'p Map<String, Value>) -> Vec<&'p str> {
        Vec::new()
    }

    /// A JSON reply in the client's dialect.
    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault>;

    /// A translator for one streamed reply.
    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator>;

    /// What an error reply says.
    fn error(&self, status: u16, body: &[u8]) -> ErrorText;

    /// What to try when the upstream refuses the connection.
    fn unreachable_hint(&self) -> &'static str {
        "is its base URL right, and does something listen there?"
    }
}

/// Where a call goes, as far as a dialect has to know.
#[derive(Debug)]
pub struct Destination<'a> {
    /// The model's name at the upstream.
    pub model: &'a str,
    pub api_base: &'a str,
    /// The deployment's parameters, for what the client does not say.
    pub params: &'a Map<String, Value>,
    /// Leave out what the upstream does not know, instead of refusing the call.
    pub drop_params: bool,
    /// Parameters that the upstream gets from nobody.
    pub leave_out: &'a [String],
    pub stream: bool,
    /// Ask a stream for its usage although the client did not.
    pub stream_usage: bool,
}

/// A request to an upstream, but for what every request has.
#[derive(Debug)]
pub struct Outgoing {
    pub url: String,
    pub body: Slices,
    /// How many choices it asks for.
    pub choices: u64,
}

/// How many choices the member `n` asks for.
fn number_of_choices(n: Option<Cow<'_, [u8]>>) -> u64 {
    const LONGEST: usize = 20;
    let json = n.filter(|json| json.len() <= LONGEST);
    json.and_then(|json| std::str::from_utf8(&json).ok()?.parse().ok()).unwrap_or(1)
}

/// A JSON reply in the client's dialect.
#[derive(Debug)]
pub struct Translated {
    pub body: Slices,
    pub usage: Option<Usage>,
}

/// What every reply repeats to its client.
#[derive(Debug, Clone)]
pub struct Echo {
    /// For upstreams that give no id: `chatcmpl-…`.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model name the client asked for.
    pub model: String,
}

/// What the client asked a stream for.
#[derive(Debug, Clone, Copy)]
pub struct StreamRequest {
    /// The usage chunk.
    pub usage: bool,
    /// So many choices.
    pub choices: u64,
}

/// Tokens as the upstream counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
    #[serde(default)]
    pub total_tokens: u64,
}

/// One streamed reply being translated, frame by frame.
pub trait StreamTranslator: Send {
    /// The next bytes, split anywhere. Every chunk they complete goes to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;

    /// The upstream has closed: what came after the last line's end is a line too. The answer is
    /// whole unless this fails.
    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;

    /// Whether the answer is complete; what comes after is ignored.
    fn complete(&self) -> bool;

    /// How many events have come. Blanks, comments and halves of events are none.
    fn events(&self) -> u64;

    /// Whether some of the answer's content has come.
    fn content(&self) -> bool;

    fn usage(&self) -> Option<Usage>;

    /// How many bytes wait for the end of their event or line.
    fn backlog(&self) -> usize;
}

/// Takes `chat.completion.chunk` objects, each as parts to be written one after another.
pub trait ChunkSink {
    fn chunk(&mut self, json: &[&[u8]]);
}

/// Why an answer is none, JSON or stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerFault {
    /// The upstream says so.
    Upstream(ErrorText),
    /// What it sent is not its dialect.
    Malformed(String),
    /// It sent something else altogether: what.
    Other(&'static str),
    /// Some of it is missing: what.
    Incomplete(String),
}
