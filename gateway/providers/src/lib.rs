//! The dialects of upstreams, and the providers that are known by name.
//!
//! Translation is pure: bytes in, bytes out, no I/O. A provider is one row of [`PROVIDERS`]; a new
//! dialect is a new file. `upstream` sends and receives; `deployments` chooses the provider of a
//! deployment.

#![forbid(unsafe_code)]

mod completion_builder;
mod dialect;
pub mod error_text;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gateway_members;
pub(crate) mod ollama;
pub mod openai;
pub mod stream_as_completion;
mod surrogate_pairs;

pub use callgate_failure::ErrorText;
pub use completion_builder::CompletionBuilder;
pub(crate) use dialect::number_of_choices;
pub use dialect::{
    AnswerFault, ChunkSink, Destination, Dialect, Echo, Outgoing, StreamRequest, StreamTranslator,
    Translated, Usage,
};
use std::fmt;

/// A provider known by its prefix in `litellm_params.model`.
pub struct Provider {
    /// The prefix, and the value of `custom_llm_provider`.
    pub name: &'static str,
    /// The label in limits, logs and metrics.
    pub label: &'static str,
    /// The base URL if neither the config nor a variable sets one.
    pub default_base: Option<&'static str>,
    /// Variables for a base URL; the first one that is set counts.
    pub base_env: &'static [&'static str],
    /// Variables for a key; the first one that is set counts.
    pub key_env: &'static [&'static str],
    /// Servers of this kind need no key; a dummy is sent where a header is expected.
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

/// An OpenAI-compatible server that operators run themselves.
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

/// Every provider, in the order in which messages list them.
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
    // LiteLLM renders a prompt for `/api/generate` here; Ollama's own `/api/chat` does it better.
    Provider { name: "ollama", ..OLLAMA },
    compatible("hosted_vllm", "hosted_vllm"),
    compatible("lm_studio", "lm_studio"),
    compatible("openai_compatible", "openai_compatible"),
    compatible("openai_like", "openai_compatible"),
];

/// The provider with this prefix. Case matters.
#[must_use]
pub fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == prefix)
}

/// Every known prefix.
pub fn prefixes() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}
