//! OpenAI's older completions over chats: the prompt becomes the message of a user, and the
//! message of the answer becomes the text. `request` has the parameters, `answer` the answers,
//! `logprobs` the probabilities, whose form is another one.
//!
//! Written from OpenAI's documentation of `POST /v1/completions`.

mod answer;
mod logprobs;
mod request;
#[cfg(test)]
mod tests;

use super::{
    AnswerFault, ChatTarget,
    error::{RequestError, Unsupported},
    event_stream::ChatEvents,
    known_members::KnownMembers,
    read::{Json, RequestMembers, is_true, list, member, request},
};
pub(super) use answer::{CompletionChunks, reply};
pub(super) use request::chat_request;
