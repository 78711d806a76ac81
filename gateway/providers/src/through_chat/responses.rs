//! OpenAI's Responses API over chats. `request` has the parameters, `conversation` the items of the
//! input, `content` their parts, `tools` the tools; `reply` and `stream` have the answers, `output`
//! the items that both write, and `echoed` what an answer repeats of its request.
//!
//! Nothing is stored: a call that leans on an earlier response is refused. Written from OpenAI's
//! documentation of the API.

mod content;
mod conversation;
mod echoed;
mod output;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

use super::{
    AnswerFault, ChatTarget, Echo,
    chat_answer::{ChatAnswer, ChatUsage, Function, Said, ToolCall, filled},
    error::{RequestError, Unsupported},
    event_stream::ChatEvents,
    known_members::KnownMembers,
    read::{Json, RequestMembers, is_true, list, member, object, request, required, text},
};
pub(super) use echoed::echoed;
pub(super) use reply::reply;
pub(super) use request::chat_request;
pub(super) use stream::ResponseEvents;
