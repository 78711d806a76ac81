//! Translates a whole reply: one `/api/chat` object in, one OpenAI `chat.completion` out.
//!
//! Called once for each call that does not stream; `stream` translates streams.

use super::{
    chat_response::{CallIds, ChatResponse, ResponseError, ResponseMessage, longest, push_usage},
    error::ReplyError,
    json::{Piece, push_string},
    logprobs, think_tags,
};
use crate::{Echo, Usage};

/// A reply in OpenAI's format.
#[derive(Debug)]
pub(crate) struct ChatReply {
    /// The `chat.completion` object.
    pub body: Vec<u8>,
    /// The token counts; `None` if Ollama sent none, and then the body has no `usage` either.
    pub usage: Option<Usage>,
}

/// Translates the body of a 200 from `/api/chat`.
///
/// # Errors
/// If the body reports an error, is unfinished, or is not a chat reply.
pub(crate) fn chat_reply(body: &[u8], echo: &Echo) -> Result<ChatReply, ReplyError> {
    let answer = ChatResponse::read(body).map_err(|fault| match fault {
        ResponseError::Error(said) => ReplyError::Upstream(said),
        ResponseError::Malformed(reason) => malformed(reason),
    })?;
    if answer.done != Some(true) {
        return Err(ReplyError::Incomplete);
    }
    let message =
        answer.message.as_ref().ok_or_else(|| malformed("`message` is missing".into()))?;
    let reason = answer.finish_reason(!message.tool_calls().is_empty());
    let reason = reason.map_err(|reason| ReplyError::Unended { reason })?;
    let usage = answer.usage();
    let mut out = Vec::with_capacity(body.len() + 256);
    out.extend_from_slice(b"{\"id\":");
    push_string(&mut out, &echo.id);
    out.extend_from_slice(
        format!(",\"object\":\"chat.completion\",\"created\":{},\"model\":", echo.created)
            .as_bytes(),
    );
    push_string(&mut out, &echo.model);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"");
    let longest = longest(body.len());
    write_message(&mut out, message, (echo, longest)).map_err(malformed)?;
    out.extend_from_slice(b",\"refusal\":null},\"logprobs\":");
    let mut tokens = Vec::new();
    answer.write_logprobs(&mut tokens, longest).map_err(malformed)?;
    let parts: &[&[u8]] = match tokens.is_empty() {
        true => &[b"null"],
        false => &[logprobs::OPEN, &tokens, logprobs::CLOSE],
    };
    parts.iter().for_each(|part| out.extend_from_slice(part));
    drop(tokens);
    out.extend_from_slice(format!(",\"finish_reason\":\"{reason}\"}}]").as_bytes());
    if let Some(usage) = usage {
        out.push(b',');
        push_usage(&mut out, usage);
    }
    out.push(b'}');
    Ok(ChatReply { body: out, usage })
}

fn write_message(
    out: &mut Vec<u8>,
    message: &ResponseMessage<'_>,
    (echo, longest): (&Echo, usize),
) -> Result<(), String> {
    let (reasoning, content) = texts(message)?;
    out.extend_from_slice(b",\"content\":");
    content.write(out);
    if !reasoning.is_empty() {
        out.extend_from_slice(b",\"reasoning_content\":");
        reasoning.write(out);
    }
    let ids = CallIds::new(&echo.id);
    for (index, call) in message.tool_calls().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"tool_calls\":[" } else { b"," });
        call.write(out, index, (&ids, longest), false)?;
    }
    if !message.tool_calls().is_empty() {
        out.push(b']');
    }
    Ok(())
}

/// The reasoning and the answer: from Ollama's own two members, or by splitting a leading block off
/// the content.
fn texts<'a>(message: &ResponseMessage<'a>) -> Result<(Piece<'a>, Piece<'a>), String> {
    let none = || Piece::of(String::new());
    let content = message.content()?;
    if let Some(thinking) = message.thinking()? {
        return Ok((Piece::Source(thinking), content.map_or_else(none, Piece::Source)));
    }
    match content {
        Some(content) if content.may_open_with_tag() => {
            let split = think_tags::split(content.decode_lossy());
            Ok((Piece::of(split.reasoning), Piece::of(split.content)))
        }
        content => Ok((none(), content.map_or_else(none, Piece::Source))),
    }
}

fn malformed(reason: String) -> ReplyError {
    ReplyError::Malformed { reason }
}

#[cfg(test)]
mod tests;
