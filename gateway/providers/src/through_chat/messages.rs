//! Anthropic's Messages API over chats. `request` has the parameters, `conversation` the turns,
//! `content` their blocks, `tools` the tools; `reply` and `stream` have the answers.
//!
//! Written from Anthropic's documentation of the Messages API, version 2023-06-01.

mod content;
mod conversation;
mod end;
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
pub(super) use reply::reply;
pub(super) use request::chat_request;
pub(super) use stream::MessageEvents;
