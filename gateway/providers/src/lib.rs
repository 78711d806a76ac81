//! The dialects of upstreams, and the providers that are known by name.
//!
//! Translation is pure: bytes in, bytes out, no I/O. A provider is one row of `table`; a new
//! dialect is a new file. `upstream` sends and receives; `deployments` chooses the provider of a
//! deployment.

#![forbid(unsafe_code)]

mod anthropic;
mod azure;
mod call_kind;
mod completion_builder;
mod copilot;
mod cuts;
mod dialect;
pub mod error_text;
mod extra_body;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gateway_members;
mod json_text;
mod model_family;
pub(crate) mod ollama;
pub mod openai;
mod other_calls;
mod param_rules;
pub mod passed_events;
mod provider;
mod quirks;
pub mod reasoning_in_text;
pub mod stream_as_completion;
mod stream_usage;
mod surrogate_pairs;
mod table;
#[cfg(test)]
mod tests;
mod text_pattern;
pub mod through_chat;

pub use call_kind::{CallKind, CallKinds};
pub use callgate_failure::ErrorText;
pub use completion_builder::CompletionBuilder;
pub(crate) use dialect::number_of_choices;
pub use dialect::{
    AnswerFault, ChatAddress, ChunkSink, Destination, Dialect, Echo, Outgoing, StreamRequest,
    StreamTranslator, Translated, Usage,
};
pub use model_family::ModelFamily;
pub use param_rules::{ParamPath, ParamRules};
use provider::host_and_path;
pub use provider::{KeyHeader, Provider, TokenFile};
pub use quirks::{Quirks, TokenLimit};
pub use table::{UNSERVED, providers};

/// The provider with this prefix. Case matters.
#[must_use]
pub fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    providers().find(|provider| provider.name == prefix)
}

/// The provider that runs this host, in lower case. Servers that operators run are not found.
#[must_use]
pub fn by_host(host: &str) -> Option<&'static Provider> {
    providers().find(|provider| {
        let base = provider.default_base.filter(|_| provider.needs_key);
        base.and_then(host_and_path).is_some_and(|(of, _)| of == host)
    })
}

/// Every known prefix.
pub fn prefixes() -> impl Iterator<Item = &'static str> {
    providers().map(|provider| provider.name)
}
