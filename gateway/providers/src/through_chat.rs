//! Calls of other APIs than chats, at providers that serve only chats: the request becomes a chat,
//! and the chat's answer becomes one of the client's API. It stands between the client's form,
//! which callbacks see, and the dialect of the upstream, so that each pair of both works.
//!
//! Pure translation of bytes. `messages` is Anthropic's API, `responses` OpenAI's newer one,
//! `completions` its older one. `server` decides by the deployment which calls take this way; the
//! others pass through `other_calls`.

mod chat_answer;
mod completions;
mod error;
mod event_stream;
mod known_members;
mod messages;
mod read;
mod responses;
mod target;

use super::{AnswerFault, CallKind, ChunkSink, Echo, StreamTranslator, Usage};
use bytes::Bytes;
use callgate_failure::Failure;
use callgate_json::Body;
use event_stream::EventStream;
pub use target::ChatTarget;

/// Whether calls of this kind can be answered by a chat.
#[must_use]
pub fn can_answer(kind: CallKind) -> bool {
    matches!(kind, CallKind::Completions | CallKind::Messages | CallKind::Responses)
}

/// The chat that a request asks for.
///
/// # Errors
/// If it is malformed, or asks for what no chat can give.
pub fn request(kind: CallKind, body: &Body, to: &ChatTarget<'_>) -> Result<Body, Failure> {
    let chat = match kind {
        CallKind::Completions => completions::chat_request(body, to),
        CallKind::Messages => messages::chat_request(body, to),
        CallKind::Responses => responses::chat_request(body, to),
        _ => return Err(Failure::invalid(format!("{} has no form as a chat", kind.path()))),
    };
    let chat = chat.map_err(|error| error.failure())?;
    Body::parse(chat.into()).map_err(|error| Failure::invalid(error.to_string()))
}

/// What the answer repeats of its request.
#[must_use]
pub fn echoed(kind: CallKind, body: &Body) -> Bytes {
    match kind {
        CallKind::Responses => responses::echoed(body),
        _ => Bytes::new(),
    }
}

/// The answer that a completion stands for.
///
/// # Errors
/// If the completion has something for which the client's API has no form.
pub fn reply(
    kind: CallKind,
    completion: &[u8],
    (echo, echoed): (&Echo, &Bytes),
) -> Result<Vec<u8>, AnswerFault> {
    match kind {
        CallKind::Completions => completions::reply(completion),
        CallKind::Messages => messages::reply(completion, echo),
        CallKind::Responses => responses::reply(completion, echo, echoed),
        _ => Ok(completion.to_vec()),
    }
}

/// Writes the events that the chunks of a chat which the gateway made stand for.
///
/// # Errors
/// If they have something for which the client's API has no form.
pub fn events<'c>(
    kind: CallKind,
    chunks: impl IntoIterator<Item = &'c [u8]>,
    (echo, echoed): (&Echo, &Bytes),
    out: &mut dyn ChunkSink,
) -> Result<(), AnswerFault> {
    match kind {
        CallKind::Completions => {
            event_stream::write(completions::CompletionChunks::default(), chunks, out)
        }
        CallKind::Messages => event_stream::write(messages::MessageEvents::new(echo), chunks, out),
        CallKind::Responses => {
            event_stream::write(responses::ResponseEvents::new(echo, echoed), chunks, out)
        }
        _ => Ok(()),
    }
}

/// A chat's stream as the events that its chunks stand for.
#[must_use]
pub fn stream(
    kind: CallKind,
    chat: Box<dyn StreamTranslator>,
    (echo, echoed): (&Echo, &Bytes),
) -> Box<dyn StreamTranslator> {
    match kind {
        CallKind::Completions => EventStream::of(chat, completions::CompletionChunks::default()),
        CallKind::Messages => EventStream::of(chat, messages::MessageEvents::new(echo)),
        CallKind::Responses => EventStream::of(chat, responses::ResponseEvents::new(echo, echoed)),
        _ => chat,
    }
}
