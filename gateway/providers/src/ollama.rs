//! Ollama's native dialect: translates OpenAI chat calls into `/api/chat`, and the responses back.
//!
//! Pure translation of bytes, without sockets, clock or configuration. The caller, `super`, does
//! the framing (`data: `, `[DONE]`, splitting NDJSON into lines) and the HTTP status, and uses
//! these functions for the gateway's dialect trait.

mod chat_response;
mod content;
mod dialect;
mod embeddings;
mod error;
mod json;
mod logprobs;
mod messages;
mod params;
mod reply;
mod request;
mod stream;
mod think_tags;

use crate::CallKind;
pub(crate) use error::{ReplyError, StreamError, upstream_error};
pub(crate) use reply::chat_reply;
pub(crate) use request::{chat_request, unfit};
pub(crate) use stream::ChatStream;

/// Ollama's address, unless the deployment or the environment sets another one.
pub(crate) const DEFAULT_API_BASE: &str = "http://localhost:11434";

/// A server that speaks Ollama's native API.
#[derive(Debug)]
pub(crate) struct Ollama;

/// The URL of embeddings, which Ollama has beside its chats, or of another kind of call, in which
/// it speaks OpenAI's dialect.
pub(crate) fn url(kind: CallKind, api_base: &str) -> String {
    let chats = chat_url(api_base);
    let root = chats.strip_suffix("/api/chat").unwrap_or(&chats);
    match kind {
        CallKind::Chat => chats,
        CallKind::Embeddings => [root, "/api/embed"].concat(),
        _ => [root, "/v1", kind.path()].concat(),
    }
}

/// The URL of the chat endpoint below `api_base`.
///
/// The base may end in slashes, in `/api` or in `/api/chat`. Without a scheme, `http` is used; an
/// empty base means [`DEFAULT_API_BASE`].
pub(crate) fn chat_url(api_base: &str) -> String {
    let base = api_base.trim().trim_end_matches('/');
    let base = if base.is_empty() { DEFAULT_API_BASE } else { base };
    let root = base.strip_suffix("/api/chat").or_else(|| base.strip_suffix("/api"));
    let root = root.unwrap_or(base).trim_end_matches('/');
    let scheme = if root.contains("://") { "" } else { "http://" };
    format!("{scheme}{root}/api/chat")
}

#[cfg(test)]
mod tests {
    use super::{chat_url, url};
    use crate::CallKind;

    #[test]
    fn every_spelling_of_the_base_reaches_the_chat_endpoint() {
        for (base, expected) in [
            ("http://h:11434", "http://h:11434/api/chat"),
            ("http://h:11434/", "http://h:11434/api/chat"),
            ("http://h:11434//", "http://h:11434/api/chat"),
            ("http://h:11434/api", "http://h:11434/api/chat"),
            ("http://h:11434/api/chat", "http://h:11434/api/chat"),
            ("http://h:11434/api/chat/", "http://h:11434/api/chat"),
            ("https://h/ollama/", "https://h/ollama/api/chat"),
            ("h:11434", "http://h:11434/api/chat"),
            (" ", "http://localhost:11434/api/chat"),
        ] {
            assert_eq!(chat_url(base), expected, "{base:?}");
            let embeddings = expected.replace("/api/chat", "/api/embed");
            assert_eq!(url(CallKind::Embeddings, base), embeddings, "{base:?}");
        }
    }
}
